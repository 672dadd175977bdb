"""Which level a signature is made at: what the workflow names, or the organisation's own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from docflow.signing.levels import Level, for_person, level_named
from docflow.signing.longterm import LongTerm


@dataclass(frozen=True, slots=True)
class LevelPolicy:
    """The organisation's choice.

    Attributes:
        longterm: makes levels above B-B.
        default: the level where a workflow names none.
        fallback_after: how long what a level needs must have been away before a fallback that the
            workflow names is made instead.
    """

    longterm: LongTerm
    default: Level = "B-B"
    fallback_after: timedelta = timedelta(hours=4)

    def level(self, as_: str, named: str | None) -> Level:
        """Return the level to make, which can be made.

        Args:
            as_: "person" or "organisation".
            named: what the workflow names, if it does.

        Raises:
            ConflictError: code `level-unavailable` if it needs what is not configured.
        """
        level = level_named(named) if named else self.default
        if as_ == "person":
            level = for_person(level)
        self.longterm.require(level)
        return level

    def may_fall_back(self, since: datetime, now: datetime) -> bool:
        """Tell whether a signature asked for at `since` has waited long enough."""
        return now - since >= self.fallback_after
