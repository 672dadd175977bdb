"""The office with confidential documents, and people who come in anew for every act."""

from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from docflow.custody import breakglass, listing
from docflow.custody.model import Custody, Kind, Shown
from docflow.custody.tables import custody_requests
from docflow.kernel.actor import Actor
from docflow.kernel.clock import ManualClock
from docflow.people.accounts import Accounts
from tests.office_support import (
    AUDITOR,
    CLERK,
    LEADER,
    SPECIALIST,
    Instance,
    cheap,
    password_of,
)

UNCLEARED_CLERK = "linh.pn"
OTHER_LEADER = "mai.bt"
OUTSIDER = "thuy.pt"  # a specialist of another unit, not cleared
OTHER_UNIT = "tuan.va"
REASON = "Cháy trụ sở, cần phương án di dời"
MARKER = "Kế hoạch di dời kho lưu trữ"


class Keeping:
    """The custody room over a whole instance."""

    def __init__(self, folder: Path, url: str, clock: ManualClock) -> None:
        self.clock = clock
        self.instance = Instance(folder, url, clock)
        self.accounts = Accounts(self.instance.database, self.instance.settings, cheap())

    @property
    def custody(self) -> Custody:
        return self.instance.services.custody

    def actor(self, login: str) -> Actor:
        """Who this is at this moment, by a session of their own."""
        token = self.accounts.login(login, password_of(login)).token
        return self.instance.services.authenticator.authenticate(token)

    @cached_property
    def ids(self) -> dict[str, str]:
        return {row["login"]: row["id"] for row in self.instance.rows("people")}

    def confidential(self, **values: Any) -> str:
        return self.instance.sealed_draft(subject=MARKER, **values)

    def reads(self, login: str, document_id: str) -> bool:
        from docflow.documents.queries import Filters, find

        found = find(
            self.instance.services.desk, self.actor(login), Filters(), before=None, limit=100
        )
        return document_id in {row["id"] for row in found}

    def ask(self, login: str, document: str, hours: int | None = None) -> str:
        return breakglass.ask(
            self.custody, self.actor(login), document=document, reason=REASON, hours=hours
        )

    def approve(self, login: str, request_id: str) -> None:
        breakglass.approve(self.custody, self.actor(login), request_id, "Đã gọi điện xác minh")

    def refuse(self, login: str, request_id: str) -> None:
        breakglass.refuse(self.custody, self.actor(login), request_id, "Không cần thiết")

    def opened(self, login: str, document_id: str, hours: int | None = None) -> str:
        """Ask and have it approved; return the request's id."""
        request_id = self.ask(login, document_id, hours)
        self.approve(LEADER, request_id)
        return request_id

    def shown(self, login: str, request_id: str, kind: Kind = "break-glass") -> Shown:
        return listing.one(self.custody, self.actor(login), kind, request_id)

    def row(self, request_id: str) -> dict[str, Any]:
        with self.instance.database.read() as connection:
            return (
                connection.execute(
                    sa.select(custody_requests).where(custody_requests.c.id == request_id)
                )
                .one()
                ._asdict()
            )

    def history(self, subject_id: str) -> list[tuple[str, dict[str, Any] | None]]:
        """What history tells of a subject, in order: action and details."""
        entries = self.instance.rows("history_entries", subject_id=subject_id)
        entries.sort(key=lambda entry: entry["subject_seq"])
        return [(entry["action"], entry["details"]) for entry in entries]


__all__ = [
    "AUDITOR",
    "CLERK",
    "LEADER",
    "MARKER",
    "OTHER_LEADER",
    "OTHER_UNIT",
    "OUTSIDER",
    "REASON",
    "SPECIALIST",
    "UNCLEARED_CLERK",
    "Keeping",
]
