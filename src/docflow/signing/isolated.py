"""Judge a stranger's file where it can do no harm: in a process of its own, with limits and a clock.

Rules:
- The answer is always a report: of what kills the judging process or takes too long nothing is known,
  which is INDETERMINATE / GENERIC and never a verdict on the file.
- The process is told none of the service's settings or secrets.
- At most a few files at once: the rest wait their turn, up to their own time limit.

See `child` for the other end.
"""

import atexit
import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import UnavailableError
from docflow.signing.outside.asking import Asker
from docflow.signing.report import VerificationReport, unfinished
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.questions import Fetched, Question
from docflow.signing.verifying.terms import Policy

DEFAULT_TIMEOUT_S = 20.0
DEFAULT_MEMORY_BYTES = 1 << 30
_AT_ONCE = 4
_START_S = 30.0  # to import everything on a loaded machine, once for each process
_CHUNK_BYTES = 1 << 16
_TRY_LATER = "TRY_LATER"
_MOST_TOLD = 10  # of who was asked
_COMMAND = (sys.executable, "-m", "docflow.signing.child")

_turns = threading.BoundedSemaphore(_AT_ONCE)
_lock = threading.Lock()
_idle: list["_Judge"] = []


def verify_isolated(
    path: Path,
    roots: TrustRoots,
    *,
    now: datetime,
    own_roots: TrustRoots,
    data: Path | None = None,
    policy: Policy | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    asker: Asker | None = None,
) -> VerificationReport:
    """Do what `dispatch.verify_any` does, in a process that is killed when it goes too far.

    Args:
        path: the file; its path is handed over, not its bytes, and only opened at the other end. It
            may be that of an open file of this process (`/proc/<pid>/fd/<n>`).
        roots: as for `verify_any`.
        now: as for `verify_any`.
        own_roots: as for `verify_any`.
        data: as for `verify_any`; a path as above.
        policy: as for `verify_any`.
        timeout_s: wall-clock seconds until judging is broken off.
        memory_bytes: address space the process may have, about 250 MB of which it needs itself.
        asker: asks about revocation, here and not there; then the file is judged again by the answers, and
            what was asked about and not answered is not known.

    Raises:
        FileNotFoundError: if there is no file.
        UnavailableError: if too many files are being judged already.
    """
    for one in (path, data):
        if one is not None and not one.is_file():
            raise FileNotFoundError(one)
    strict = policy or Policy()
    request = _request(path, data, roots, own_roots, now, strict)
    request |= {"memory_bytes": memory_bytes, "timeout_s": timeout_s, "want": asker is not None}
    report, questions = _judged(request, timeout_s, now)
    fetched = asker.ask(questions) if asker is not None else None
    if fetched is None:
        return report
    demanding = dataclasses.replace(strict, revocation="required").to_dict()
    again = request | {"want": False, "fetched": fetched.to_dict(), "policy": demanding}
    return _with_asked(_judged(again, timeout_s, now)[0], fetched)


def _with_asked(report: VerificationReport, fetched: Fetched) -> VerificationReport:
    """Return the report with who was asked in vain, so that people know whom to turn to."""
    told = list(fetched.failed)
    if any(one.sub_indication == _TRY_LATER for one in report.signatures):
        told += [
            f"{host} was asked about revocation and answered; that does not tell enough."
            for host in fetched.answered
        ]
    return dataclasses.replace(report, reasons=(*report.reasons, *told[:_MOST_TOLD]))


def _judged(
    request: dict[str, Any], timeout_s: float, now: datetime
) -> tuple[VerificationReport, list[Question]]:
    """Return the report on a file, and what could be asked about revocation.

    Raises:
        UnavailableError: if too many files are being judged already.
    """
    if not _turns.acquire(timeout=timeout_s):
        raise UnavailableError(
            "Too many files are being verified at the moment; try again in a minute."
        )
    try:
        answer = _ask(json.dumps(request).encode() + b"\n", timeout_s + _START_S)
    finally:
        _turns.release()
    try:
        told = json.loads(answer)
        questions = [Question.from_dict(one) for one in told.pop("wanted", [])]
        return VerificationReport.from_dict(told), questions
    except (ValueError, KeyError, TypeError, AttributeError):
        broke_off = "Judging the file broke off, and nothing is known about it."
        return unfinished(broke_off, now=now), []


def _request(
    path: Path,
    data: Path | None,
    roots: TrustRoots,
    own_roots: TrustRoots,
    now: datetime,
    policy: Policy,
) -> dict[str, Any]:
    return {
        # not resolved: the name behind /proc/<pid>/fd/<n> leads nowhere
        "path": str(path.absolute()),
        "data": str(data.absolute()) if data is not None else None,
        "roots": roots.to_pem(),
        "own_roots": own_roots.to_pem(),
        "now": rfc3339(now),
        "policy": policy.to_dict(),
        "fetched": Fetched().to_dict(),
    }


def close() -> None:
    """End the processes that wait for files; the next file starts a new one."""
    with _lock:
        waiting, _idle[:] = list(_idle), []
    for judge in waiting:
        judge.end()


atexit.register(close)


def _ask(request: bytes, wait_s: float) -> bytes:
    """Return the answer line of a judge, or nothing if it failed; a failed one is not used again."""
    judge = _take()
    answer = judge.ask(request, wait_s)
    if answer:
        with _lock:
            _idle.append(judge)
    else:
        judge.end()
    return answer


def _take() -> "_Judge":
    """Return a judge that lives: one that waits, else a new one."""
    while True:
        with _lock:
            judge = _idle.pop() if _idle else None
        if judge is None:
            return _Judge()
        if judge.lives():
            return judge
        judge.end()


class _Judge:
    """One running `child`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("DOCFLOW_")},
        )

    def lives(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def ask(self, request: bytes, wait_s: float) -> bytes:
        """Send one line, and return one line; nothing if the process is gone or too slow."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return b""
        end = time.monotonic() + wait_s
        answer = bytearray()
        try:
            rest = memoryview(request)
            while rest:
                rest = rest[stdin.write(rest) or 0 :]
            with selectors.DefaultSelector() as selector:
                selector.register(stdout, selectors.EVENT_READ)
                while not answer.endswith(b"\n"):
                    if not selector.select(max(0.0, end - time.monotonic())):
                        return b""
                    chunk = os.read(stdout.fileno(), _CHUNK_BYTES)
                    if not chunk:
                        return b""
                    answer += chunk
        except OSError:
            return b""
        return bytes(answer)

    def end(self) -> None:
        """Kill the process and its fork, and leave neither a zombie nor an open pipe."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
