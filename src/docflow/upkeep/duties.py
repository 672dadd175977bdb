"""The duties of this room together, as the composition root makes them and a worker runs them."""

from collections.abc import Callable
from dataclasses import dataclass

from docflow.upkeep.scan import Scanner
from docflow.upkeep.sweep import Sweeper

_SWEEP_SECONDS = 900.0
_SCAN_SECONDS = 5.0  # rest between two pieces, which take as long


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What keeps the stored files of one instance whole."""

    sweeper: Sweeper
    scanner: Scanner

    def duties(self) -> list[tuple[str, float, Callable[[], object]]]:
        """Return the recurring duties: name, interval in seconds, what to call."""
        return [
            ("storage-sweep", _SWEEP_SECONDS, self.sweeper.run),
            ("storage-scan", _SCAN_SECONDS, self.scanner.run),
        ]
