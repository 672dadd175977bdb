"""Small recurring duties, each in a thread of its own.

A duty that raises is logged and tried again, later each time, up to a minute; it never ends the
worker. Duties must bear being run by several workers at once.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

_LONGEST_WAIT_SECONDS = 60.0

_logger = logging.getLogger("docflow.worker")


@dataclass(frozen=True, slots=True)
class Periodic:
    """A recurring duty.

    Attributes:
        name: shown in the log.
        every_seconds: rest between the end of one time and the start of the next.
        function: the duty.
    """

    name: str
    every_seconds: float
    function: Callable[[], object]


class DutyThread:
    """Runs one duty until told to stop."""

    def __init__(self, duty: Periodic) -> None:
        self._duty = duty
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"docflow-{duty.name}", daemon=True)

    def start(self) -> None:
        """Begin with the duty at once."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the duty end what it does, and not begin again."""
        self._stopping.set()

    def join(self, seconds: float) -> bool:
        """Wait for the end; tell whether it came in time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._duty.function()
                failures = 0
            except Exception:
                failures += 1
                _logger.exception("duty %s failed, %d times in a row", self._duty.name, failures)
            wait = self._duty.every_seconds * 2.0 ** min(failures, 16)
            longest = max(self._duty.every_seconds, _LONGEST_WAIT_SECONDS)
            self._stopping.wait(min(wait, longest))
