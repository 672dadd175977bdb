"""The duties of this room together, as the composition root makes them and a worker runs them."""

from collections.abc import Callable
from dataclasses import dataclass

from docflow.upkeep.retain import Retainer
from docflow.upkeep.scan import Scanner
from docflow.upkeep.sweep import Sweeper

_SWEEP_SECONDS = 900.0
_RETENTION_SECONDS = 3600.0
_SCAN_SECONDS = 5.0  # rest between two pieces, which take as long


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What keeps the stored files of one instance whole."""

    sweeper: Sweeper
    scanner: Scanner
    retainer: Retainer | None = None  # not where no documents are at hand: on the command line

    def duties(self) -> list[tuple[str, float, Callable[[], object]]]:
        """Return the recurring duties: name, interval in seconds, what to call."""
        duties: list[tuple[str, float, Callable[[], object]]] = [
            ("storage-sweep", _SWEEP_SECONDS, self.sweeper.run),
            ("storage-scan", _SCAN_SECONDS, self.scanner.run),
        ]
        if self.retainer is not None:
            duties.append(("retention", _RETENTION_SECONDS, self.retainer.catch_up))
        return duties
