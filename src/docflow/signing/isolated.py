"""Judge a stranger's file where it can do no harm: in a child process with limits, and a clock.

Rules:
- The answer is always a report: what kills the child or takes too long is FORMAT_FAILURE.
- The child is told none of the service's settings or secrets.
- One child judges one file. One child is kept ready, since importing takes most of a second.
- At most a few at once: the rest wait their turn, up to their own time limit.
"""

import atexit
import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import UnavailableError
from docflow.signing.report import VerificationReport, failure
from docflow.signing.trust import TrustRoots

DEFAULT_TIMEOUT_S = 20.0
DEFAULT_MEMORY_BYTES = 768 << 20
_AT_ONCE = 4
_COMMAND = (sys.executable, "-m", "docflow.signing.child")

_turns = threading.BoundedSemaphore(_AT_ONCE)
_lock = threading.Lock()
_ready: list[subprocess.Popen[str]] = []


def verify_isolated(
    path: Path,
    roots: TrustRoots,
    *,
    now: datetime,
    own_roots: TrustRoots,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> VerificationReport:
    """Do what `validate.verify` does, in a process that is killed when it goes too far.

    Args:
        path: the file; its path is handed over, not its bytes.
        roots: as for `validate.verify`.
        now: as for `validate.verify`.
        own_roots: as for `validate.verify`.
        timeout_s: wall-clock seconds until the child is killed.
        memory_bytes: address space the child may have.

    Raises:
        FileNotFoundError: if there is no file.
        UnavailableError: if too many files are being judged already.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    end = time.monotonic() + timeout_s
    if not _turns.acquire(timeout=timeout_s):
        raise UnavailableError(
            "Too many files are being verified at the moment; try again in a minute."
        )
    try:
        request = {
            "path": str(path.resolve()),
            "roots": roots.to_pem(),
            "own_roots": own_roots.to_pem(),
            "now": rfc3339(now),
            "memory_bytes": memory_bytes,
            "cpu_seconds": math.ceil(timeout_s) + 1,
        }
        return _ask(json.dumps(request), now, end)
    finally:
        _turns.release()
        _keep_one_ready()


def _ask(request: str, now: datetime, end: float) -> VerificationReport:
    child = _take()
    try:
        answer, _ = child.communicate(request + "\n", timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return failure("Judging the file took longer than it may.", now=now)
    except OSError:
        answer = ""
    finally:
        _end(child)
    try:
        return VerificationReport.from_dict(json.loads(answer))
    except (ValueError, KeyError, TypeError):
        return failure(
            "Judging the file broke off: it needs more memory or time than it may have.", now=now
        )


def _take() -> subprocess.Popen[str]:
    """Take the child that waits ready, if it still lives, else start one."""
    while True:
        with _lock:
            child = _ready.pop() if _ready else None
        if child is None:
            return _start()
        if child.poll() is None:
            return child
        _end(child)


def _keep_one_ready() -> None:
    with _lock:
        if not _ready:
            _ready.append(_start())


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("DOCFLOW_")},
    )


def _end(child: subprocess.Popen[str]) -> None:
    """Kill the child if it lives, and leave neither a zombie nor an open pipe."""
    with contextlib.suppress(OSError):
        child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    child.wait()


@atexit.register
def close() -> None:
    """End the child that waits ready."""
    with _lock:
        waiting, _ready[:] = list(_ready), []
    for child in waiting:
        _end(child)
