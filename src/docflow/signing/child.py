"""The process that judges strangers' files: `python -m docflow.signing.child`.

Rules:
- Requests come on standard input, answers leave on standard output, one line of JSON each. When the
  input ends, it ends.
- Every file is judged in a fork of its own, which takes its limits (memory, processor time, wall
  clock, no writing of files) before it opens the file and ends with its answer: nothing that a
  hostile file left behind meets the next one. The fork is cheap, since everything is imported.
- Single-threaded, so that forking is safe.
"""

import json
import os
import resource
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from docflow.kernel.clock import parse_rfc3339
from docflow.signing.report import VerificationReport, unfinished
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.dispatch import verify_any
from docflow.signing.verifying.questions import Fetched, Wanted
from docflow.signing.verifying.terms import Policy

TOO_SLOW = "Judging the file took longer than it may; nothing is known about it."
BROKE_OFF = (
    "Judging the file broke off: it needs more memory or time than it may have; nothing is known "
    "about it."
)
_MOST_ANSWER_BYTES = 4 << 20


def main() -> int:
    """Answer requests until there are no more; return the exit status."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(_answer(line) + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _answer(line: bytes) -> bytes:
    """Judge in a fork; return its answer, or one in its place if it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _judge_and_end(line, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read(_MOST_ANSWER_BYTES)
    _, status = os.waitpid(child, 0)
    if status == 0 and answer:
        return answer
    stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGALRM, signal.SIGXCPU}
    why = TOO_SLOW if stopped else BROKE_OFF
    report = unfinished(why, now=parse_rfc3339(json.loads(line)["now"]))
    return json.dumps(report.to_dict()).encode()


def _judge_and_end(line: bytes, writing: int) -> None:
    """Do the work of the fork; never return."""
    status = 1
    try:
        request: dict[str, Any] = json.loads(line)
        _limit(request["memory_bytes"], request["timeout_s"])
        wanted = Wanted() if request["want"] else None
        report = _report(request, parse_rfc3339(request["now"]), wanted)
        questions = [one.to_dict() for one in wanted.questions] if wanted is not None else []
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(report.to_dict() | {"wanted": questions}).encode())
        status = 0
    finally:
        os._exit(status)  # runs nothing of the parent's, and says nothing


def _report(request: dict[str, Any], now: datetime, wanted: Wanted | None) -> VerificationReport:
    try:
        data = request["data"]
        return verify_any(
            Path(request["path"]),
            TrustRoots.from_pem(request["roots"]),
            now=now,
            own_roots=TrustRoots.from_pem(request["own_roots"]),
            data=Path(data) if data is not None else None,
            policy=Policy.from_dict(request["policy"]),
            fetched=Fetched.from_dict(request["fetched"]),
            wanted=wanted,
        )
    except MemoryError:
        return unfinished(BROKE_OFF, now=now)
    except OSError as error:
        return unfinished(f"The file cannot be read: {error.strerror}.", now=now)


def _limit(memory_bytes: int, timeout_s: float) -> None:
    """Take the limits; the address space counts what the process already holds."""
    for what, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, int(timeout_s) + 1),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (allowed, hard))
    signal.setitimer(signal.ITIMER_REAL, timeout_s)  # nobody catches SIGALRM: it ends the fork


if __name__ == "__main__":
    sys.exit(main())
