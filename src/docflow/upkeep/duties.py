"""The duties of this room together, as the composition root makes them and a worker runs them."""

from collections.abc import Callable
from dataclasses import dataclass

from docflow.upkeep.sweep import Sweeper

_SWEEP_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What keeps the stored files of one instance whole."""

    sweeper: Sweeper

    def duties(self) -> list[tuple[str, float, Callable[[], object]]]:
        """Return the recurring duties: name, interval in seconds, what to call."""
        return [("storage-sweep", _SWEEP_SECONDS, self.sweeper.run)]
