"""The tree of units as a value: what lies below a unit, and whether a move would make a circle."""

from collections.abc import Iterable


class UnitTree:
    """A snapshot of which unit belongs to which; answers from memory."""

    def __init__(self, parents: Iterable[tuple[str, str | None]]) -> None:
        """Hold pairs of a unit's id and its parent's."""
        self._children: dict[str, list[str]] = {}
        self._below: dict[str, frozenset[str]] = {}
        for unit_id, parent_id in parents:
            if parent_id is not None:
                self._children.setdefault(parent_id, []).append(unit_id)

    def below(self, unit_id: str) -> frozenset[str]:
        """Return the unit and every unit under it."""
        found = self._below.get(unit_id)
        if found is None:
            found = self._below[unit_id] = self._walk(unit_id)
        return found

    def _walk(self, unit_id: str) -> frozenset[str]:
        seen: set[str] = set()
        waiting = [unit_id]
        while waiting:
            unit = waiting.pop()
            if unit not in seen:
                seen.add(unit)
                waiting.extend(self._children.get(unit, ()))
        return frozenset(seen)
