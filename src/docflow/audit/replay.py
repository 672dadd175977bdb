"""What history says that a row must be: its entries played again from the first. Pure.

Rules: only what entries say is expected; what none of them tells (a password's hash, a free field)
cannot be. Every action that docflow writes is in `ACTIONS`; a test holds the two together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

NOTES = frozenset(
    {
        "account.locked",
        "account.unlocked",
        "custody_request.used",
        "delivery.acknowledged",
        "delivery.downloaded",
        "document.archive-due",
        "document.archive-failed",
        "document.archive-retried",
        "document.archive-stamped",
        "document.break-glass-approved",
        "document.break-glass-asked",
        "document.break-glass-ended",
        "document.break-glass-refused",
        "document.files-retained",
        "document.lowering-asked",
        "document.lowering-refused",
        "document.read",
        "document.recovered",
        "document.recovery-approved",
        "document.recovery-asked",
        "document.recovery-refused",
        "document.refused",
        "document.reseal-failed",
        "document.resealed",
        "document.session-answered",
        "document.signatures-verified",
        "document.storage-fault",
        "document.storage-healed",
        "person.refused",
        "recipient.certificate-added",
        "recipient.certificate-revoked",
    }
)
"""Actions that tell something about a subject without changing its version."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A number that a document was given."""

    book: str
    period: str
    series: str
    number: int
    symbol: str
    numbered_on: str


@dataclass(slots=True)
class Replayed:
    """What a subject's entries make of it.

    Attributes:
        columns: expected values of its row's columns; a column that is not here is not known.
        offices: of a person: (unit, role).
        files: of a document: file id → (role, form, SHA-256, size in bytes).
        recipients: of a document: recipient ids in order.
        numbers: of a document: each number it was given → whether it was voided.
        deliveries: of a document: delivery id → recipient id.
        checks: of a document: file id → (indication, SHA-256 of the kept report).
        steps: of a document: (job, step) → SHA-256 of every file that the step made or judged.
        encrypted: of a document: (recipient id, SHA-256) of every file encrypted to a recipient.
        clearance: of a person: level, and when it expires (RFC 3339); None without one.
        openings: of a document: request id → person id, and until when (RFC 3339).
        certificates: of a recipient: SHA-256 → whether it was revoked.
        changes: entries that each raise the row's version by one.
        unknown: actions that this version does not know; nothing can be expected after one.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    offices: set[tuple[str, str]] = field(default_factory=set)
    files: dict[str, tuple[str, str, str, int]] = field(default_factory=dict)
    recipients: list[str] = field(default_factory=list)
    numbers: dict[Numbered, bool] = field(default_factory=dict)
    deliveries: dict[str, str] = field(default_factory=dict)
    checks: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    encrypted: set[tuple[str, str]] = field(default_factory=set)
    clearance: tuple[str, str] | None = None
    openings: dict[str, tuple[str, str]] = field(default_factory=dict)
    certificates: dict[str, bool] = field(default_factory=dict)
    changes: int = 0
    unknown: set[str] = field(default_factory=set)

    def play(self, action: str, data: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        """Take the next entry.

        Raises:
            LookupError, TypeError, ValueError: if its data is not what its action has.
        """
        handler = ACTIONS.get(action)
        if handler is None:
            self.unknown.add(action)
            return
        if action not in NOTES:
            self.changes += 1
        handler(self, action, data, details)


Handler = Callable[[Replayed, str, Mapping[str, Any], Mapping[str, Any]], None]


def _nothing(_: Replayed, _action: str, _data: Mapping[str, Any], _details: object) -> None:
    """Play an entry that no column shows."""


def _told(
    *columns: str,
    named: tuple[str, ...] = (),
    renamed: Mapping[str, str] | None = None,
    **fixed: Any,
) -> Handler:
    """Play an entry that tells columns: `columns` in its data, `named` in its details."""

    def play(
        subject: Replayed, _action: str, data: Mapping[str, Any], details: Mapping[str, Any]
    ) -> None:
        subject.columns |= {name: data[name] for name in columns if name in data}
        subject.columns |= {name: details[name] for name in named if name in details}
        for source, column in (renamed or {}).items():
            subject.columns[column] = data[source]
        subject.columns |= fixed

    return play


def _person_created(
    subject: Replayed, _action: str, data: Mapping[str, Any], details: Mapping[str, Any]
) -> None:
    subject.columns |= {"kind": data["kind"], "active": True}
    subject.columns |= {name: details[name] for name in ("login", "name") if name in details}
    subject.offices = {(office["unit_id"], office["role"]) for office in data["offices"]}
    if "clearance" in data:
        _cleared(subject, _action, data["clearance"], details)


def _cleared(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    subject.clearance = (data["level"], data["expires_at"])


def _uncleared(subject: Replayed, _action: str, _data: Mapping[str, Any], _details: object) -> None:
    subject.clearance = None


def _opened(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    subject.openings[data["request_id"]] = (data["asked_by"], data["until"])


def _ended(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    person_id, _ = subject.openings[data["request_id"]]
    subject.openings[data["request_id"]] = (person_id, data["until"])


def _office(subject: Replayed, action: str, data: Mapping[str, Any], _details: object) -> None:
    office = (data["unit_id"], data["role"])
    if action == "person.office-granted":
        subject.offices.add(office)
    else:
        subject.offices.discard(office)


def _posted(
    subject: Replayed, _action: str, data: Mapping[str, Any], details: Mapping[str, Any]
) -> None:
    told = ("direction", "workflow_id", "state", "classification", "unit_id")
    subject.columns |= {name: data[name] for name in told}
    subject.columns |= dict.fromkeys(("assignee_id", "book", "number", "symbol"))
    subject.columns |= {name: details[name] for name in ("subject", "issuer") if name in details}
    subject.recipients = list(data["recipients"])
    _add_files(subject, data["files"])


def _edited(
    subject: Replayed, _action: str, data: Mapping[str, Any], details: Mapping[str, Any]
) -> None:
    for name in data["changed"]:
        subject.columns.pop(name, None)  # that it changed is told, to what may be content
    subject.columns |= {name: details[name] for name in ("subject", "issuer") if name in details}
    if "recipients" in data:
        subject.recipients = list(data["recipients"])


def _classified(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    subject.columns["classification"] = data["to"]
    subject.columns.pop("subject", None)  # sealed or opened with it


def _file_put(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    _add_files(subject, [data["file"]])


def _add_files(subject: Replayed, listed: list[Mapping[str, Any]]) -> None:
    for item in listed:
        subject.files[item["id"]] = (item["role"], item["form"], item["sha256"], item["size"])


def _fired(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    subject.columns["state"] = data["to"]
    if "unit_id" in data:
        subject.columns |= {"unit_id": data["unit_id"], "assignee_id": None}
    if "assignee_id" in data:
        subject.columns["assignee_id"] = data["assignee_id"]
    if "voided" in data:
        _voided(subject, _action, data, _details)
    if "number" in data:
        told = ("book", "period", "series", "number", "symbol", "numbered_on")
        subject.numbers[Numbered(**{name: data[name] for name in told})] = False
        subject.columns |= {name: data[name] for name in ("book", "number", "symbol")}
    if "files" in data:
        _add_files(subject, data["files"])
    for delivery in data.get("deliveries", ()):
        subject.deliveries[delivery["id"]] = delivery["recipient_id"]


def _voided(subject: Replayed, _action: str, _data: Mapping[str, Any], _details: object) -> None:
    subject.numbers = dict.fromkeys(subject.numbers, True)
    subject.columns |= dict.fromkeys(("book", "number", "symbol"))


def _step(subject: Replayed, action: str, data: Mapping[str, Any], _details: object) -> None:
    made = {item if isinstance(item, str) else item["sha256"] for item in data["files"]}
    subject.steps[data["job"], action.removeprefix("document.")] = made


def _encrypted(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    recipient_id = data["recipient_id"]
    subject.encrypted |= {(recipient_id, item["sha256"]) for item in data["files"]}


def _certificate_added(
    subject: Replayed, _action: str, data: Mapping[str, Any], _details: object
) -> None:
    subject.certificates[data["sha256"]] = False


def _certificate_revoked(
    subject: Replayed, _action: str, data: Mapping[str, Any], _details: object
) -> None:
    subject.certificates[data["sha256"]] = True


def _verified(subject: Replayed, _action: str, data: Mapping[str, Any], _details: object) -> None:
    for item in data["files"]:
        subject.checks[item["id"]] = (item["indication"], item["report_sha256"])


ACTIONS: Mapping[str, Handler] = {
    "account.activated": _told(active=True),
    "account.created": _told("person_id", "recipient_id", named=("login",), active=True),
    "account.deactivated": _told(active=False),
    "account.locked": _nothing,
    "account.password-changed": _nothing,
    "account.password-reset": _nothing,
    "account.rehashed": _nothing,
    "account.unlocked": _nothing,
    "api_key.created": _told("scopes", named=("name",), revoked=False),
    "api_key.revoked": _told(revoked=True),
    "custody_request.approved": _told("decided_by", decision="approved"),
    "custody_request.asked": _told("kind", "document_id", "asked_by", decision=None),
    "custody_request.ended": _nothing,
    "custody_request.refused": _told("decided_by", decision="refused"),
    "custody_request.used": _nothing,
    "delivery.acknowledged": _nothing,
    "delivery.downloaded": _nothing,
    "document.archive-due": _nothing,
    "document.archive-failed": _nothing,
    "document.archive-retried": _nothing,
    "document.archive-stamped": _nothing,
    "document.break-glass-approved": _opened,
    "document.break-glass-asked": _nothing,
    "document.break-glass-ended": _ended,
    "document.break-glass-refused": _nothing,
    "document.classified": _classified,
    "document.contained": _step,
    "document.conversion-failed": _nothing,
    "document.edited": _edited,
    "document.encrypted": _encrypted,
    "document.file-converted": _file_put,
    "document.file-put": _file_put,
    "document.file-removed": _nothing,
    "document.files-retained": _nothing,
    "document.fired": _fired,
    "document.job-failed": _nothing,
    "document.job-retried": _nothing,
    "document.job-waiting": _nothing,
    "document.lowering-approved": _classified,
    "document.lowering-asked": _nothing,
    "document.lowering-refused": _nothing,
    "document.number-voided": _voided,
    "document.posted": _posted,
    "document.read": _nothing,
    "document.recovered": _nothing,
    "document.recovery-approved": _nothing,
    "document.recovery-asked": _nothing,
    "document.recovery-refused": _nothing,
    "document.refused": _nothing,
    "document.prepared": _step,
    "document.reseal-failed": _nothing,
    "document.resealed": _nothing,
    "document.sealed": _step,
    "document.session-answered": _nothing,
    "document.session-ended": _nothing,
    "document.signatures-verified": _verified,
    "document.signed": _step,
    "document.signing-requested": _fired,
    "document.staged": _step,
    "document.storage-fault": _nothing,
    "document.storage-healed": _nothing,
    "document.validated": _step,
    "person.activated": _told(active=True),
    "person.batch-authorised": _nothing,
    "person.certificate-enrolled": _nothing,
    "person.certificate-proposed": _nothing,
    "person.certificate-revoked": _nothing,
    "person.changed": _told(named=("name",)),
    "person.clearance-granted": _cleared,
    "person.clearance-revoked": _uncleared,
    "person.created": _person_created,
    "person.deactivated": _told(active=False),
    "person.mandate-granted": _nothing,
    "person.mandate-revoked": _nothing,
    "person.office-granted": _office,
    "person.office-revoked": _office,
    "person.refused": _nothing,
    "recipient.certificate-added": _certificate_added,
    "recipient.certificate-revoked": _certificate_revoked,
    "recipient.changed": _told("unit_id", "person_id", "active", named=("name",)),
    "recipient.created": _told(
        "code", "kind", "external", "unit_id", "person_id", named=("name",), active=True
    ),
    "unit.changed": _told("parent_id", named=("name",)),
    "unit.created": _told("code", "parent_id", named=("name",)),
    "workflow.loaded": _told("name", "sha256", renamed={"version": "workflow_version"}),
}
"""What each action says; the closed vocabulary of history."""
