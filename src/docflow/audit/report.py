"""What a verification says: its findings, each a sentence that names what is wrong, and its counts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from docflow.kernel.clock import rfc3339

MOST_PER_CHECK = 100  # findings of one kind that are kept; all are counted

Progress = Callable[[str, int, int], None]
"""Told what is being checked, how much of it is done, and how much there is."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not what it must be.

    Attributes:
        check: stable name of the check that failed, as `entry-chain`.
        subject: what it is about, as `document 0198…`, `entry 0198…`, `checkpoint 12`.
        sentence: what is wrong, with identifiers.
    """

    check: str
    subject: str
    sentence: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of a verification.

    Attributes:
        findings: what is wrong; at most `MOST_PER_CHECK` of one kind.
        found: how many there are of each kind, those left off included.
        checked: how many of what was checked, as `entries`.
        origin: the log's name.
        size: the log's leaves.
        root: the root recomputed from the entries, in hexadecimal; None if it cannot be.
        pending: entries that have no place in the log yet.
        started_at: when it began.
        finished_at: when it ended.
    """

    findings: tuple[Finding, ...]
    found: dict[str, int]
    checked: dict[str, int]
    origin: str
    size: int
    root: str | None
    pending: int
    started_at: datetime
    finished_at: datetime

    @property
    def ok(self) -> bool:
        """Tell whether everything holds."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "size": self.size,
            "root": self.root,
            "pending": self.pending,
            "checked": self.checked,
            "found": self.found,
            "findings": [
                {"check": item.check, "subject": item.subject, "sentence": item.sentence}
                for item in self.findings
            ],
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
        }


@dataclass(slots=True)
class Notebook:
    """Collects findings and counts while a verification runs; keeps memory bounded."""

    found: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def find(self, check: str, subject: str, sentence: str) -> None:
        """Note a finding."""
        self.found[check] += 1
        if self.found[check] <= MOST_PER_CHECK:
            self.findings.append(Finding(check, subject, sentence))
