"""Documents, files, transitions."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from docflow.api.schemas.common import (
    Input,
    InputObject,
    JsonObject,
    Line,
    Name,
    Output,
    Text,
)
from docflow.api.schemas.files import FileOut
from docflow.db import Row
from docflow.documents.create import NewDocument
from docflow.documents.fire import Outcome
from docflow.documents.queries import Shown
from docflow.workflow.facts import Available

Codes = Annotated[list[Name], Field(max_length=1000)]


class DocumentIn(Input):
    """A document to be posted."""

    subject: Line = Field(description="What it is about; one line.")
    type: Name = Field(description="Code of a document type, as `QĐ`.")
    direction: Literal["incoming", "outgoing"] | None = Field(
        None, description="Needed unless `workflow` is given."
    )
    workflow: Name | None = Field(None, description="Name of a workflow; its newest version.")
    urgency: Name = "normal"
    classification: Name = "internal"
    unit: Name | None = Field(None, description="Code or id; default: the poster's own unit.")
    fields: InputObject = Field(default_factory=dict, description="The workflow's own fields.")
    recipients: Codes = Field(default_factory=list, description="Codes or ids; outgoing only.")
    issuer: Line | None = Field(None, description="Who issued it; incoming only.")
    issuer_symbol: Name | None = Field(None, description="Its number and symbol there.")
    issuer_date: date | None = Field(None, description="Its date there.")
    accept_duplicate: Text | None = Field(
        None, description="Why a document that was received before is received again."
    )

    def to_new(self) -> NewDocument:
        """Return what the documents room takes."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values["type_code"] = values.pop("type")
        return NewDocument(**values)


class DocumentPatch(Input):
    """Changes to a draft; what is left out stays."""

    subject: Line | None = None
    type: Name | None = None
    urgency: Name | None = None
    classification: Name | None = None
    fields: InputObject | None = Field(None, description="Merged; null clears a field.")
    recipients: Codes | None = Field(None, description="Replaces the list.")
    issuer: Line | None = None
    issuer_symbol: Name | None = None
    issuer_date: date | None = None

    def changes(self) -> dict[str, Any]:
        """Return what was given."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        given = {name: value for name, value in given.items() if value is not None}
        if "type" in given:
            given["type_code"] = given.pop("type")
        return given


class TransitionIn(Input):
    """A transition to fire."""

    trigger: Name
    asked: InputObject = Field(default_factory=dict, description="Values for what it asks.")
    place: InputObject | None = Field(
        None,
        description="Where `number`, `date`, `qr`, `capacity` and the visible `signature` go on the "
        "page, and the later persons' `signature2`, `signature3`, … (in the order in which they may "
        "sign, else in that of the workflow's file): a place's name, or "
        "`{page, x, y}` in millimetres from the top-left corner.",
    )
    mandate: Name | None = Field(
        None, description="Id of the mandate in whose capacity the caller signs."
    )


class ClassificationIn(Input):
    """A higher classification."""

    classification: Name
    reason: Annotated[Text, StringConstraints(min_length=1)] = Field(
        description="Why; kept in the document's history."
    )


class ClassifiedOut(Output):
    """What classification a document has now."""

    document_id: str
    classification: str
    version: int


class UnitRef(Output):
    """A unit, in short."""

    id: str
    code: str
    name: str


class PersonRef(Output):
    """A person, in short."""

    id: str
    login: str
    name: str


class WorkflowRef(Output):
    """The workflow version that a document is pinned to."""

    name: str
    version: int
    sha256: str


class PendingOut(Output):
    """A signature or release that is under way, or failed."""

    trigger: str
    job_id: str
    requested_by: str
    since: datetime
    failed: bool
    error: str | None


class DocumentSummary(Output):
    """A document as lists show it."""

    id: str
    direction: str
    state: str
    state_since: datetime
    due_at: datetime | None
    type: str
    urgency: str
    classification: str
    subject: str | None = Field(
        description="Null in lists where the document is sealed: it is opened on its own page."
    )
    fields: JsonObject
    sealed: bool = Field(description="Whether it lies sealed, and reading it is recorded.")
    unit: UnitRef
    author: PersonRef
    assignee: PersonRef | None
    issuer: str | None
    issuer_symbol: str | None
    issuer_date: date | None
    duplicate_of: list[str]
    book: str | None
    number: int | None
    symbol: str | None
    numbered_on: date | None
    stage: str | None = Field(description="Where a signature or release under way stands.")
    pending: PendingOut | None
    workflow: WorkflowRef
    created_at: datetime
    updated_at: datetime
    version: int


class RecipientRef(Output):
    """A recipient, in short."""

    id: str
    code: str
    name: str


class RefusalOut(Output):
    """Why a transition is not allowed now."""

    code: str
    rule: str
    reason: str
    satisfied_by: str


class AskOut(Output):
    """A value that a transition asks for."""

    type: str
    required: bool
    min: int | None
    max: int | None
    choices: list[str]
    title: dict[str, str]


class AvailableOut(Output):
    """A transition that the caller could ask for, and whether it would be allowed."""

    trigger: str
    title: dict[str, str]
    to: str
    allowed: bool
    refusal: RefusalOut | None
    ask: dict[str, AskOut]
    signs: str | None = Field(description="Whose signature it makes: person, organisation.")

    @classmethod
    def of(cls, item: Available) -> "AvailableOut":
        """Build from the workflow room's answer."""
        refusal = None
        if item.refusal is not None:
            names = RefusalOut.model_fields
            refusal = RefusalOut(**{name: getattr(item.refusal, name) for name in names})
        return cls(
            trigger=item.trigger,
            title=dict(item.title),
            to=item.to,
            allowed=item.allowed,
            refusal=refusal,
            ask={
                name: AskOut(
                    type=field.type,
                    required=field.required,
                    min=field.min,
                    max=field.max,
                    choices=list(field.choices),
                    title=dict(field.title),
                )
                for name, field in item.ask.items()
            },
            signs=item.signs,
        )


class SignerOut(Output):
    """One signature of a received file, in short."""

    signer: str | None
    indication: str
    sub_indication: str | None
    level: str
    signed_at: datetime | None
    time_is_proven: bool
    reasons: list[str]


class SignatureCheckOut(Output):
    """What the signatures of a received file are worth."""

    file_id: str
    data_file_id: str | None = Field(description="What a detached signature signs.")
    indication: str | None = Field(
        description="TOTAL-PASSED, TOTAL-FAILED, INDETERMINATE, NOT-SIGNED; none while it is verified."
    )
    sub_indication: str | None = Field(description="Of ETSI EN 319 102-1.")
    verified_at: datetime | None
    next_at: datetime | None = Field(
        description="When it is verified again by itself, while nothing is known yet."
    )
    reasons: list[str]
    signers: list[SignerOut]

    @classmethod
    def of(cls, row: Row) -> "SignatureCheckOut":
        """Build from a row."""
        report = row["report"] or {"reasons": [], "signatures": []}
        told = ("file_id", "data_file_id", "indication", "sub_indication", "verified_at")
        names = SignerOut.model_fields
        return cls(
            **{name: row[name] for name in told},
            next_at=row.get("next_at"),
            reasons=report["reasons"],
            signers=[
                SignerOut(**{name: one[name] for name in names}) for one in report["signatures"]
            ],
        )


class DocumentOut(DocumentSummary):
    """A document with everything that its page shows."""

    remind_at: list[datetime] = Field(description="When to remind before it is due.")
    files: list[FileOut]
    signatures: list[SignatureCheckOut] = Field(
        description="Of an incoming document's files that came in signed."
    )
    recipients: list[RecipientRef]
    available: list[AvailableOut]


class DocumentPage(Output):
    """A page of documents, newest first."""

    items: list[DocumentSummary]
    next_cursor: str | None


class TransitionOut(Output):
    """What a firing did."""

    document_id: str
    trigger: str
    before: str
    state: str
    version: int
    phase: Literal["request", "complete"] = Field(
        description="`request`: a job signs now and completes the transition."
    )
    job_id: str | None
    symbol: str | None

    @classmethod
    def of(cls, outcome: Outcome) -> "TransitionOut":
        """Build from the documents room's answer."""
        return cls(**{name: getattr(outcome, name) for name in cls.model_fields})


_SAME = (
    "id", "direction", "state", "state_since", "due_at", "urgency", "classification", "subject",
    "fields", "issuer", "issuer_symbol", "issuer_date", "book", "number", "symbol", "numbered_on",
    "stage", "created_at", "updated_at", "version",
)  # fmt: skip


def _values(row: Row) -> dict[str, Any]:
    values = {name: row[name] for name in _SAME}
    values["sealed"] = row["sealed_content"] is not None
    values["subject"] = row["subject"] or None
    assignee = None
    if row["assignee_id"] is not None:
        assignee = PersonRef(
            id=row["assignee_id"], login=row["assignee_login"], name=row["assignee_name"]
        )
    pending = None
    if row["pending"]:
        pending = PendingOut(**{name: row["pending"][name] for name in PendingOut.model_fields})
    return values | {
        "type": row["type_code"],
        "unit": UnitRef(id=row["unit_id"], code=row["unit_code"], name=row["unit_name"]),
        "author": PersonRef(
            id=row["author_id"], login=row["author_login"], name=row["author_name"]
        ),
        "assignee": assignee,
        "duplicate_of": row["duplicate_of"] or [],
        "pending": pending,
        "workflow": WorkflowRef(
            name=row["workflow_name"],
            version=row["workflow_version"],
            sha256=row["workflow_sha256"],
        ),
    }


def summary_of(row: Row) -> DocumentSummary:
    """Return a document as lists show it."""
    return DocumentSummary(**_values(row))


def document_of(shown: Shown) -> DocumentOut:
    """Return a document with everything that its page shows."""
    return DocumentOut(
        **_values(shown.row),
        remind_at=list(shown.remind_at),
        files=[FileOut.of(row) for row in shown.files],
        signatures=[SignatureCheckOut.of(row) for row in shown.signatures],
        recipients=[
            RecipientRef(id=row["id"], code=row["code"], name=row["name"])
            for row in shown.recipients
        ],
        available=[AvailableOut.of(item) for item in shown.available],
    )
