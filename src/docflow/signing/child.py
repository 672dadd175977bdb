"""The child process that judges one stranger's file and ends: `python -m docflow.signing.child`.

Rules:
- One request on standard input, one answer on standard output, both one line of JSON; then it ends,
  so nothing that a hostile file left behind meets the next one.
- It takes its limits before it opens the file: memory, processor time, and no writing of files.
- Written so that it can wait ready, everything imported, for its one request.
"""

import json
import resource
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from docflow.kernel.clock import parse_rfc3339
from docflow.signing.report import VerificationReport, failure
from docflow.signing.trust import TrustRoots
from docflow.signing.validate import verify


def main() -> int:
    """Answer one request; return the exit status."""
    line = sys.stdin.readline()
    if not line:
        return 0  # whoever kept this process ready is gone
    request: dict[str, Any] = json.loads(line)
    now = parse_rfc3339(request["now"])
    _limit(request["memory_bytes"], request["cpu_seconds"])
    report = _report(request, now)
    sys.stdout.write(json.dumps(report.to_dict()) + "\n")
    sys.stdout.flush()
    return 0


def _report(request: dict[str, Any], now: datetime) -> VerificationReport:
    try:
        return verify(
            Path(request["path"]),
            TrustRoots.from_pem(request["roots"]),
            now=now,
            own_roots=TrustRoots.from_pem(request["own_roots"]),
        )
    except MemoryError:
        return failure("The file needs more memory than it may have here.", now=now)
    except OSError as error:
        return failure(f"The file cannot be read: {error.strerror}.", now=now)


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Take the limits; memory counts what the process already holds."""
    for what, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (allowed, allowed))


if __name__ == "__main__":
    sys.exit(main())
