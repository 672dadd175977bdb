"""What people, their offices and their clearances look like over HTTP."""

from datetime import datetime

from pydantic import Field

from docflow.api.schemas.common import Output
from docflow.people.views import Clearance


class ClearanceOut(Output):
    """Up to which level someone is cleared."""

    level: str
    since: datetime
    expires_at: datetime = Field(description="From this instant on it counts no more.")
    granted_by: str = Field(description="Id of who recorded it; `service` for the office file.")

    @classmethod
    def of(cls, clearance: Clearance | None) -> "ClearanceOut | None":
        """Build from the people room's answer."""
        if clearance is None:
            return None
        return cls(
            level=clearance.level,
            since=clearance.since,
            expires_at=clearance.expires_at,
            granted_by=clearance.granted_by,
        )
