"""When the office works, as an office seed says it."""

import re
from datetime import date, time
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from docflow.people.seed_base import Frozen, Many, Name, Timezone, Weekday
from docflow.workflow.calendar import OfficeCalendar


def _hours(value: Any) -> Any:
    """Turn `07:30-11:30` into two times of day."""
    match = re.fullmatch(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)", str(value))
    if match is None:
        raise ValueError("these are not office hours; write them as 07:30-11:30")
    opens, closes = (time.fromisoformat(part) for part in match.groups())
    if closes <= opens:
        raise ValueError("the hours end before they begin")
    return (opens, closes)


Hours = Annotated[tuple[time, time], BeforeValidator(_hours)]


class Holiday(Frozen):
    """A day off."""

    date: date
    name: Name


class WorkingCalendar(Frozen):
    """When the office works: local hours per weekday, and the days off."""

    timezone: Timezone
    week: dict[Weekday, Many[Hours]]
    holidays: Many[Holiday] = ()

    @field_validator("week")
    @classmethod
    def _some_hours(
        cls, week: dict[Weekday, tuple[tuple[time, time], ...]]
    ) -> dict[Weekday, tuple[tuple[time, time], ...]]:
        if not any(week.values()):
            raise ValueError("the week has no office hours at all; nothing would ever be due")
        for day, spans in week.items():
            for (_, closes), (opens, _) in pairwise(spans):
                if opens < closes:
                    raise ValueError(f"the hours of {day} overlap or are out of order")
        return week

    def office_calendar(self) -> OfficeCalendar:
        """The calendar that deadlines are counted with."""
        week: dict[str, list[list[str]]] = {
            day: [[f"{opens:%H:%M}", f"{closes:%H:%M}"] for opens, closes in spans]
            for day, spans in self.week.items()
        }
        return OfficeCalendar(
            timezone=self.timezone,
            week=week,
            holidays=frozenset(holiday.date for holiday in self.holidays),
        )
