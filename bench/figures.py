"""Ratios of repeats, and the table."""

import statistics
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

COLUMNS = 80
_NAME_COLUMNS = 22  # what leaves room for the rest


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        what: what was measured.
        where: on which database; empty if on none.
        ours, theirs: medians, as text with their units.
        ratio: the median of the repeats' ratios; None where a limit is absolute.
        limit: what is to be reached, as text; empty where nothing is promised.
        reached: whether it was; None where nothing is promised.
        note: what one should know of it.
    """

    what: str
    where: str
    ours: str
    theirs: str
    ratio: float | None = None
    limit: str = ""
    reached: bool | None = None
    note: str = ""


def compared(
    what: str,
    where: str,
    pairs: list[tuple[float, float]],
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
) -> Figure:
    """Return the figure of interleaved pairs (ours, theirs)."""
    ratios = [ours / theirs for ours, theirs in pairs]
    ratio = statistics.median(ratios)
    spread = f"ratios {min(ratios):.2f}–{max(ratios):.2f}" if len(ratios) > 1 else "one repeat"
    limit, reached = "", None
    if at_least is not None:
        limit, reached = f"≥ {at_least:g}", ratio >= at_least
    if at_most is not None:
        limit, reached = f"≤ {at_most:g}", ratio <= at_most
    return Figure(
        what,
        where,
        _text(statistics.median(ours for ours, _ in pairs), unit),
        _text(statistics.median(theirs for _, theirs in pairs), unit),
        ratio,
        limit,
        reached,
        f"{spread}; {note}" if note else spread,
    )


def bounded(what: str, where: str, value: float, unit: str, at_most: float, note: str) -> Figure:
    """Return the figure of an absolute limit."""
    return Figure(
        what, where, _text(value, unit), "", None, f"≤ {at_most:g} {unit}", value <= at_most, note
    )


def taking_turns(
    repeats: int, ours: Callable[[int], float], theirs: Callable[[int], float]
) -> list[tuple[float, float]]:
    """Run both, `repeats` times, each first every other time."""
    pairs = []
    for number in range(repeats):
        if number % 2:
            theirs_value = theirs(number)
            ours_value = ours(number)
        else:
            ours_value = ours(number)
            theirs_value = theirs(number)
        pairs.append((ours_value, theirs_value))
    return pairs


def _text(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def table(figures: list[Figure]) -> str:
    """Return the figures as text that fits a terminal: long names and notes on lines of their own."""
    heads = ("", "where", "docflow", "baseline", "ratio", "to reach", "")
    lines = [heads]
    for figure in figures:
        verdict = {None: "", True: "reached", False: "MISSED"}[figure.reached]
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        what = figure.what if len(figure.what) <= _NAME_COLUMNS else ""
        lines.append((what, figure.where, figure.ours, figure.theirs, ratio, figure.limit, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    text = []
    for number, line in enumerate(lines):
        if number and not line[0]:
            text.append(figures[number - 1].what)
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text.append("  ".join(cells).rstrip())
        if number and (note := figures[number - 1].note):
            text.append(wrapped(note, "    "))
    promised = [figure for figure in figures if figure.reached is not None]
    missed = [f"{figure.what} ({figure.where})" for figure in promised if not figure.reached]
    if promised:
        text.append(f"{len(promised) - len(missed)} of {len(promised)} aims reached")
    text += [wrapped(f"missed: {name}", "  ") for name in missed]
    return "\n".join(text)


def wrapped(text: str, indent: str = "") -> str:
    """Return text in lines of a terminal."""
    return textwrap.fill(text, COLUMNS, initial_indent=indent, subsequent_indent=indent)
