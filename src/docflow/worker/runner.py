"""The worker: the job engine and the recurring duties, started and stopped together.

`docflow worker` runs it alone until a signal; `docflow serve` starts and stops one around the server.
"""

import logging
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType

from docflow.jobs import JobEngine
from docflow.worker.duties import DutyThread, Periodic

_SWEEP_SECONDS = 5.0  # a sixth of the lapse after which a silent worker is taken for dead
_STOP_SECONDS = 20.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_logger = logging.getLogger("docflow.worker")


class Worker:
    """Runs jobs and duties in threads of this process."""

    def __init__(self, engine: JobEngine, periodic: Sequence[Periodic] = ()) -> None:
        """Hold them; the heartbeat of the jobs is added to the duties.

        Args:
            engine: with every handler registered.
            periodic: the recurring duties of this process.
        """
        self._engine = engine
        self._periodic = (Periodic("job-sweep", _SWEEP_SECONDS, engine.sweep), *periodic)
        self._threads: list[DutyThread] = []

    def start(self) -> None:
        """Begin; may be called under a running event loop, but blocks for up to a second or two.

        Raises:
            ConfigurationError: if the database is not migrated.
        """
        self._engine.start()
        self._threads = [DutyThread(duty) for duty in self._periodic]
        for thread in self._threads:
            thread.start()
        _logger.info("worker %s takes jobs", self._engine.executor_id)

    def stop(self, wait_seconds: float = _STOP_SECONDS) -> bool:
        """End duties and running steps, and tell whether all ended in time.

        Args:
            wait_seconds: how long to wait for them; what has not ended then is resumed later.
        """
        deadline = time.monotonic() + wait_seconds
        for thread in self._threads:
            thread.ask_to_stop()
        ended = self._engine.stop(wait_seconds)
        for thread in self._threads:
            ended &= thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = []
        return ended


def run_worker(
    engine: JobEngine, periodic: Sequence[Periodic], *, wait_seconds: float = _STOP_SECONDS
) -> bool:
    """Run jobs and duties until SIGTERM or SIGINT; to be called in the main thread.

    Returns:
        Whether all ended in time. If not, the process should be ended without waiting for its
        threads (`os._exit`): what runs still is resumed when a worker starts.
    """
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        _logger.info("worker stops on %s", signal.Signals(number).name)
        asked.set()

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    worker = Worker(engine, periodic)
    try:
        worker.start()
        asked.wait()
    finally:
        ended = worker.stop(wait_seconds)
        for number, handler in before.items():
            signal.signal(number, handler)
    return ended
