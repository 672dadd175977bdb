"""Workflows as front ends read them: states and transitions in the file's order, with titles."""

from typing import Literal

from pydantic import Field

from docflow.api.schemas.common import JsonObject, Output
from docflow.api.schemas.documents import AskOut
from docflow.documents.shelf import Pinned
from docflow.documents.workflow_views import OnFile
from docflow.workflow.definition import (
    FieldDefinition,
    StateDefinition,
    TransitionDefinition,
)

Titles = dict[str, str]
Direction = Literal["incoming", "outgoing"]


class WorkflowSummary(Output):
    """A workflow as the list shows it: its newest version, and which are on file."""

    name: str
    version: int = Field(description="The newest on file.")
    versions: list[int] = Field(description="Every version on file; documents keep theirs.")
    offered: bool = Field(description="New documents can get it.")
    direction: Direction
    title: Titles

    @classmethod
    def of(cls, item: OnFile) -> "WorkflowSummary":
        """Build from the documents room's answer."""
        definition = item.newest.compiled.definition
        return cls(
            name=item.newest.name,
            version=item.newest.version,
            versions=list(item.versions),
            offered=item.offered,
            direction=definition.direction,
            title=dict(definition.title),
        )


class StateOut(Output):
    """Where a document can stand."""

    name: str
    title: Titles
    initial: bool
    final: bool
    editable: bool = Field(description="Files and data may be changed here.")
    due: str | None = Field(description="How long a document may stay, as 3d or 24h wall.")
    remind: list[str] = Field(description="Reminders before it is due, as -4h.")
    any_order: list[str] = Field(
        description="The transitions by which several people sign here, each once, in any order."
    )

    @classmethod
    def of(cls, name: str, state: StateDefinition) -> "StateOut":
        """Build from a definition."""
        return cls(
            name=name,
            title=dict(state.title),
            initial=state.initial,
            final=state.final,
            editable=state.is_editable,
            due=str(state.due) if state.due is not None else None,
            remind=[str(each) for each in state.remind],
            any_order=list(state.any_order),
        )


class SignOut(Output):
    """The signature that a transition makes."""

    signer: str = Field(description="Whose signature it is: person or organisation.")
    level: str | None = Field(
        description="PAdES baseline level; null: the organisation's own level."
    )
    fallback: str | None = Field(
        description="Lower level made instead when what the level needs stays away."
    )
    place: JsonObject = Field(
        description="Where number, date, QR code and signature go on the page."
    )
    container: str | None = Field(
        description="What the seal also makes of the whole release; null: the files alone."
    )


class TransitionShown(Output):
    """One way from state to state."""

    trigger: str
    title: Titles
    leaves: list[str] = Field(description="The states it leaves.")
    to: str
    by: list[str] = Field(description="Roles that may fire it.")
    require: list[str]
    separate_from: list[str]
    ask: dict[str, AskOut]
    book: str | None = Field(description="The book that gives the number, if it gives one.")
    sign: SignOut | None
    effects: list[str]

    @classmethod
    def of(cls, trigger: str, transition: TransitionDefinition) -> "TransitionShown":
        """Build from a definition."""
        sign = None
        if transition.sign is not None:
            place = transition.sign.place
            sign = SignOut(
                signer=transition.sign.as_,
                level=transition.sign.level,
                fallback=transition.sign.fallback,
                place=dict(place.as_plain()) if place is not None else {},
                container=transition.sign.container,
            )
        return cls(
            trigger=trigger,
            title=dict(transition.title),
            leaves=list(transition.from_),
            to=transition.to,
            by=list(transition.by),
            require=list(transition.require),
            separate_from=list(transition.separate_from),
            ask={name: ask_of(field) for name, field in transition.ask.items()},
            book=transition.number.book if transition.number is not None else None,
            sign=sign,
            effects=[item.effect for item in transition.do],
        )


class WorkflowOut(Output):
    """One version of a workflow."""

    name: str
    version: int
    sha256: str = Field(description="Digest of the YAML.")
    direction: Direction
    calendar: str
    title: Titles
    fields: dict[str, AskOut]
    states: list[StateOut]
    transitions: list[TransitionShown]

    @classmethod
    def of(cls, pinned: Pinned) -> "WorkflowOut":
        """Build from the documents room's answer."""
        definition = pinned.compiled.definition
        return cls(
            name=pinned.name,
            version=pinned.version,
            sha256=pinned.compiled.sha256,
            direction=definition.direction,
            calendar=definition.calendar,
            title=dict(definition.title),
            fields={name: ask_of(field) for name, field in definition.fields.items()},
            states=[StateOut.of(name, state) for name, state in definition.states.items()],
            transitions=[
                TransitionShown.of(name, item) for name, item in definition.transitions.items()
            ],
        )


def ask_of(field: FieldDefinition) -> AskOut:
    """Return a field of a document, or of what a transition asks for."""
    return AskOut(
        type=field.type,
        required=field.required,
        min=field.min,
        max=field.max,
        choices=list(field.choices),
        title=dict(field.title),
    )
