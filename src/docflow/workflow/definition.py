"""What a workflow file says, as frozen objects. Shape only; `resolve` and `graph` judge meaning.

Rules:
1. Strict: no unknown key, no coercion (`"1"` is not 1, `yes` is not true).
2. Shorthands (`from: draft`, `reason: text!`, `number: outgoing`, `- assign`) are opened here, so
   that nothing downstream knows them; the JSON Schema shows both forms.
3. Order is kept: states and transitions are listed and drawn as the file has them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from docflow.workflow.places import SIGNATURE, Anchor, SignPlace
from docflow.workflow.shapes import (
    Code,
    Definition,
    DurationText,
    FieldType,
    GuardName,
    Name,
    Note,
    OneOrManyNames,
    OneOrManyRoles,
    RetainText,
    SignAs,
    SignContainer,
    SignLevel,
    Titles,
    empty,
    frozen,
    wrong,
)
from docflow.workflow.vocabulary import (
    EFFECT_FIELDS,
    EFFECTS,
    FIELD_TYPES,
    HOLDINGS,
    NAME_PATTERN,
    title_of,
    unknown,
)

MAX_STATES = 100
MAX_TRANSITIONS = 300
MAX_FIELDS = 100
MOST_PERSONS = 8  # personal signatures on one file
_WHOLE = 2**53 - 1  # what canonical JSON can hold


class FieldDefinition(Definition):
    """One field: of a document (`fields`), or of what a transition asks for (`ask`)."""

    type: FieldType = Field(description="what kind of value it holds")
    required: bool = Field(False, description="whether it must be filled")
    min: int | None = Field(
        None, ge=-_WHOLE, le=_WHOLE, description="text: least characters; integer: least value"
    )
    max: int | None = Field(
        None, ge=-_WHOLE, le=_WHOLE, description="text: most characters; integer: greatest value"
    )
    choices: tuple[Note, ...] = Field((), max_length=200, description="the values of a choice")
    title: Titles = Field(default_factory=empty, description="what people read, by language")


def _open_input(written: Any) -> Any:
    """Open the shorthand `text!` (required) or `text` (optional)."""
    if not isinstance(written, str):
        return written
    name = written.removesuffix("!")
    if name not in FIELD_TYPES:
        raise wrong(unknown("field type", name, FIELD_TYPES))
    if name == "choice":
        raise wrong("a choice needs its choices; write {type: choice, choices: [a, b]}")
    return {"type": name, "required": written.endswith("!")}


_SHORTHANDS = tuple(name + mark for name in FIELD_TYPES if name != "choice" for mark in ("!", ""))
_ShortInput = Annotated[
    str,
    WithJsonSchema({"enum": list(_SHORTHANDS), "description": "a type; `!` makes it required"}),
]
InputDefinition = Annotated[
    FieldDefinition,
    BeforeValidator(_open_input, json_schema_input_type=_ShortInput | FieldDefinition),
]


class StateDefinition(Definition):
    """Where a document can stand."""

    initial: bool = Field(False, description="documents start here; exactly one state")
    final: bool = Field(False, description="documents end here; nothing leaves it")
    editable: bool | None = Field(
        None,
        description="whether files and metadata may be changed here (the initial state's default); "
        "entering an editable state drops the signatures",
    )
    due: DurationText | None = Field(None, description="how long a document may stay, as 3d")
    remind: tuple[DurationText, ...] = Field(
        (), max_length=10, description="reminders before the due time, as [-4h]"
    )
    any_order: tuple[Name, ...] = Field(
        (),
        min_length=1,
        max_length=MOST_PERSONS,
        json_schema_extra={"minItems": 2},
        description="the transitions by which several people sign here, each once, in whichever order; "
        "the last of them goes on",
    )
    retain: RetainText | None = Field(
        None,
        description="how long files are locked in the store from here on, as 10y or kind.retention",
    )
    title: Titles = Field(default_factory=empty, description="what people read, by language")

    @property
    def is_editable(self) -> bool:
        """Tell whether main file, annexes and metadata may be changed in this state."""
        return self.initial if self.editable is None else self.editable


class NumberDefinition(Definition):
    """Which book gives the number."""

    book: Code = Field(description="the code of the book (register)")
    date: Name | None = Field(
        None, description="the `ask` field with the date of the number; the day itself if absent"
    )


def _open_number(written: Any) -> Any:
    return {"book": written} if isinstance(written, str) else written


class SignDefinition(Definition):
    """Who signs the main file, and how."""

    as_: SignAs = Field(alias="as", description="whose signature it is")
    level: SignLevel | None = Field(
        None,
        description="PAdES baseline level (ETSI EN 319 142-1); the organisation's own if absent",
    )
    fallback: SignLevel | None = Field(
        None,
        description="the lower level to make instead when what the level needs has been away for as "
        "long as the operator set; without it, the signature waits",
    )
    place: SignPlace | None = Field(
        None, description="what is put on the page before a personal signature, and where"
    )
    container: SignContainer | None = Field(
        None,
        description="what the seal also makes of the whole release; annexes are then kept as they came",
    )


class EffectDefinition(Definition):
    """One effect, with the `ask` field it uses, if it uses one."""

    effect: str
    field: str | None = None


def _read_effect(written: Any) -> EffectDefinition:
    field: Any = None
    name = written
    if isinstance(written, dict):
        if len(written) != 1:
            raise wrong("an effect is one name, as deliver, or one pair, as {assign: lead}")
        ((name, field),) = written.items()
    if not isinstance(name, str) or name not in EFFECTS:
        raise wrong(unknown("effect", str(name), EFFECTS))
    if isinstance(written, dict):
        if name not in EFFECT_FIELDS:
            raise wrong(f"{name} takes no field; write just {name}")
        if not isinstance(field, str):
            raise wrong(f"{name} takes the name of an `ask` field, as {{{name}: lead}}")
    elif name in EFFECT_FIELDS:
        field = EFFECT_FIELDS[name][0]
    return EffectDefinition(effect=name, field=field)


_FieldReference = {"type": "string", "pattern": NAME_PATTERN}
EffectText = Annotated[
    EffectDefinition,
    PlainValidator(_read_effect),
    WithJsonSchema(
        {
            "anyOf": [
                *({"const": name, "description": w.description} for name, w in EFFECTS.items()),
                *(
                    {
                        "type": "object",
                        "description": EFFECTS[name].description,
                        "properties": {name: _FieldReference},
                        "required": [name],
                        "additionalProperties": False,
                    }
                    for name in EFFECT_FIELDS
                ),
            ]
        }
    ),
]


class TransitionDefinition(Definition):
    """One way from state to state: who may take it, when, and what happens."""

    from_: OneOrManyNames = Field(
        alias="from", min_length=1, max_length=MAX_STATES, description="the states it leaves"
    )
    to: Name = Field(description="the state it enters")
    by: OneOrManyRoles = Field(min_length=1, max_length=20, description="who may fire it")
    title: Titles = Field(default_factory=empty, description="what people read, by language")
    require: tuple[GuardName, ...] = Field((), max_length=20, description="what must hold")
    separate_from: tuple[Name, ...] = Field(
        (),
        max_length=20,
        description="who may not fire it though they hold the role: the author, the assignee, or "
        "whoever fired the named transition on this document",
    )
    ask: Annotated[Mapping[Name, InputDefinition], AfterValidator(frozen)] = Field(
        default_factory=empty, max_length=30, description="what whoever fires it must fill in"
    )
    number: Annotated[
        NumberDefinition | None,
        BeforeValidator(_open_number, json_schema_input_type=Code | NumberDefinition),
    ] = Field(None, description="gives the document its number, unless it has one")
    sign: SignDefinition | None = Field(
        None, description="signs the main file; the state changes when the signature is on it"
    )
    do: tuple[EffectText, ...] = Field((), max_length=10, description="what else happens")

    def does(self, effect: str) -> bool:
        """Tell whether `effect` is among what the transition does."""
        return any(item.effect == effect for item in self.do)

    def signs_as(self, who: Literal["person", "organisation"]) -> bool:
        """Tell whether the transition signs as `who`."""
        return self.sign is not None and self.sign.as_ == who


class NeverRule(Definition):
    """`STATE without sign|seal|number`: no path may enter the state lacking that."""

    state: str
    without: str


def _read_never(written: Any) -> NeverRule:
    words = written.split() if isinstance(written, str) else []
    match words:
        case [state, "without", holding]:
            if holding not in HOLDINGS:
                raise wrong(unknown("thing that can be lacking", holding, HOLDINGS))
            return NeverRule(state=state, without=holding)
        case _:
            raise wrong(
                f"{str(written)[:80]!r} is not a rule; write STATE without sign, STATE without "
                "seal or STATE without number"
            )


NeverText = Annotated[
    NeverRule,
    PlainValidator(_read_never),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^[a-z][a-z0-9_]{{0,39}} without ({'|'.join(HOLDINGS)})$",
            "description": "no path may enter the state lacking that, as `released without seal`",
        }
    ),
]


class WorkflowDefinition(Definition):
    """A whole workflow file."""

    workflow: Code = Field(description="the workflow's name, one file each")
    version: int = Field(
        ge=1, le=1_000_000, description="raise it with every change; documents keep theirs"
    )
    title: Titles = Field(min_length=1, description="what people read, by language; `en` at least")
    direction: Literal["incoming", "outgoing"] = Field(
        description="whether documents come in or go out"
    )
    calendar: Code = Field("office", description="the working calendar that durations count in")
    fields: Annotated[Mapping[Name, FieldDefinition], AfterValidator(frozen)] = Field(
        default_factory=empty,
        max_length=MAX_FIELDS,
        description="fields a document has beside those that every document has",
    )
    states: Annotated[Mapping[Name, StateDefinition], AfterValidator(frozen)] = Field(
        min_length=1, max_length=MAX_STATES, description="where a document can stand"
    )
    transitions: Annotated[Mapping[Name, TransitionDefinition], AfterValidator(frozen)] = Field(
        min_length=1, max_length=MAX_TRANSITIONS, description="how it gets on, by trigger"
    )
    never: tuple[NeverText, ...] = Field(
        (), max_length=100, description="what no path may do, as `released without seal`"
    )
    always: tuple[Literal["final reachable"], ...] = Field(
        (), max_length=1, description="what every path can do; proven whether or not written"
    )

    @property
    def initial(self) -> str:
        """Return the name of the state documents start in."""
        return next(name for name, state in self.states.items() if state.initial)

    @property
    def books(self) -> frozenset[str]:
        """Return the codes of every book the workflow numbers from."""
        return frozenset(t.number.book for t in self.transitions.values() if t.number)

    def leaving(self, state: str) -> tuple[str, ...]:
        """Return the triggers of every transition that leaves `state`, in file order."""
        return tuple(name for name, t in self.transitions.items() if state in t.from_)

    def in_any_order(self, trigger: str) -> tuple[str, ...]:
        """Return the transitions that sign with this one, in any order, itself among them; or nothing."""
        here = self.states[self.transitions[trigger].from_[0]].any_order
        return here if trigger in here else ()

    def on_page(self, trigger: str) -> dict[str, Anchor]:
        """Return what a personal signature places on the page if it is the first, and where.

        What one of those who sign in any order places, the first of them places, whoever that is; the
        place of the `signature` is each one's own.
        """
        found: dict[str, Anchor] = {}
        for name in (trigger, *self.in_any_order(trigger)):
            sign = self.transitions[name].sign
            for item, anchor in (sign.place.anchors() if sign and sign.place else {}).items():
                if item != SIGNATURE or name == trigger:
                    found.setdefault(item, anchor)
        return found

    def state_title(self, state: str, language: str = "en") -> str:
        """Return what people call a state."""
        return title_of(self.states[state].title, language, state)

    def transition_title(self, trigger: str, language: str = "en") -> str:
        """Return what people call a transition."""
        return title_of(self.transitions[trigger].title, language, trigger)
