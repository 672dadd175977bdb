"""What a job is to the rest of docflow: plain values, and the rules about its errors.

A job runs a handler in steps. A step that raised is tried again later, a bounded number of times,
unless its error cannot heal. What is kept of an error is one sentence for an operator; the traceback
goes to the log.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from docflow.kernel.errors import (
    DocflowError,
    InvalidInputError,
    OutsideUnavailableError,
    StaleVersionError,
    UnavailableError,
)

JobState = Literal["queued", "running", "retrying", "failed", "done", "cancelled"]
LIVE: tuple[JobState, ...] = ("queued", "running", "retrying")

MAX_ERROR_CHARS = 1000
MAX_BACKOFF_SECONDS = 600.0
MAX_STEP_CHARS = 32

_MOST_TRIES = 100_000
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
_HEALING = (UnavailableError, StaleVersionError)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as people see it.

    Attributes:
        id: chosen by what asked for the job; asking twice with one id makes one job.
        kind: names the handler.
        subject_id: what the job is about, usually a document.
        state: queued, running, retrying (a try failed, another follows), failed, done or cancelled.
        step: the step of the last failed try, None if none failed in this run.
        attempts: failed tries of that step.
        runs: 1, and one more for each retry by a person.
        error: what went wrong last, one sentence.
        next_at: when it is tried again, while `retrying`.
    """

    id: str
    kind: str
    subject_id: str
    payload: Mapping[str, Any]
    state: JobState
    step: str | None
    attempts: int
    runs: int
    execution: int
    error: str | None
    requested_by: str
    created_at: datetime
    updated_at: datetime
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first; `next_before` asks for the page after this one, None at the end."""

    jobs: tuple[Job, ...]
    next_before: str | None


class StepFailedError(BaseException):
    """Ends a handler whose step failed.

    Not an `Exception`, so that a handler's own `except Exception` cannot swallow it and go on.
    """

    def __init__(
        self, step: str | None, sentence: str, *, permanent: bool, patient: bool = False
    ) -> None:
        super().__init__(sentence)
        self.step = step
        self.sentence = sentence
        self.permanent = permanent
        self.patient = patient


class EngineTroubleError(BaseException):
    """The engine itself, not the job's code, raised while a step was run; see `__cause__`."""


class JobFailedError(Exception):
    """Ends an execution in the engine's own books when its job has failed."""


class JobRun:
    """One execution of a job's handler."""

    def __init__(self, job: Job, steps: Callable[[str, Callable[[], Any]], Any]) -> None:
        self.job_id = job.id
        self.kind = job.kind
        self.subject_id = job.subject_id
        self.payload = job.payload
        self.runs = job.runs
        self.requested_by = job.requested_by
        self.cannot_heal = False
        """Told to `on_failed`: it failed by what no further try can heal."""
        self._steps = steps
        self._names: set[str] = set()

    def step(self, name: str, function: Callable[[], Any]) -> Any:
        """Run `function` once, remember its result, and return it; a later execution gets the result.

        A step may run again if the process dies before its result is kept, so what it does outside
        the database must be idempotent. Everything with an effect belongs in a step; what stands
        between steps is run anew by every execution.

        Args:
            name: unique in the handler, at most 32 characters.
            function: returns what JSON can hold exactly.
        """
        if not name or len(name) > MAX_STEP_CHARS or name in self._names:
            raise ValueError(
                f"step {name!r} needs a name of its own of 1 to {MAX_STEP_CHARS} characters"
            )
        self._names.add(name)
        return self._steps(name, function)


def exact_json(value: Any) -> Any:
    """Return `value` as JSON gives it back, so that first and later executions see the same.

    Raises:
        InvalidInputError: if JSON cannot hold it.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            "A job's payload and the results of its steps must be JSON values.",
            code="job-value-not-json",
        ) from error


def check_job_id(job_id: str) -> None:
    """Refuse an id that the engine could not keep apart from others.

    Raises:
        InvalidInputError: saying which form is right.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise InvalidInputError(
            f"{job_id!r} is no job id: 1 to 64 letters, digits and . _ : @ -, a letter or digit first.",
            code="job-id-invalid",
        )


def sentence(error: BaseException) -> str:
    """Return what an operator may read of an error: nothing that could carry a secret."""
    if isinstance(error, DocflowError):
        text = error.detail
    elif isinstance(error, OSError) and error.strerror:
        text = f"The system refused: {error.strerror} ({type(error).__name__})."
    else:
        text = f"An unexpected error ({type(error).__name__}); the log has its details."
    return text if len(text) <= MAX_ERROR_CHARS else text[: MAX_ERROR_CHARS - 1] + "…"


def is_permanent(error: BaseException) -> bool:
    """Tell whether trying again cannot help: a refusal that neither waiting nor reading anew heals."""
    return isinstance(error, DocflowError) and not isinstance(error, _HEALING)


def is_patient(error: BaseException) -> bool:
    """Tell whether a service of others is away, for which a job waits much longer."""
    return isinstance(error, OutsideUnavailableError)


def patient_tries(base_seconds: float, seconds: float) -> int:
    """Return how many tries it takes, with the waits between them, to fill `seconds`; at least one."""
    tries, waited = 1, 0.0
    while waited < seconds and tries < _MOST_TRIES:
        waited += backoff(base_seconds, tries)
        tries += 1
    return tries


def backoff(base_seconds: float, failed_tries: int) -> float:
    """Return the seconds to wait before the next try: doubled with every failed one, bounded."""
    return min(base_seconds * 2.0 ** min(failed_tries - 1, 32), MAX_BACKOFF_SECONDS)
