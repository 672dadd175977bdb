"""Floor 8: the door through which background work runs, beside the HTTP door or alone."""

from docflow.worker.duties import Periodic
from docflow.worker.runner import Worker, run_worker

__all__ = ["Periodic", "Worker", "run_worker"]
