"""The process that becomes LibreOffice: `python -m docflow.conversion.child MEMORY SECONDS FILE COMMAND …`.

It takes its limits (bytes of address space, seconds of processor time, bytes of any file it writes, no
core file) and then turns into the command, which inherits them with all its own processes.
"""

import os
import resource
import sys


def main(arguments: list[str]) -> None:
    """Take the limits and become the command; does not return."""
    memory, seconds, file_bytes, *command = arguments
    for limit, value in (
        (resource.RLIMIT_AS, int(memory)),
        (resource.RLIMIT_CPU, int(seconds)),
        (resource.RLIMIT_FSIZE, int(file_bytes)),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(limit)
        ceiling = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (ceiling, ceiling))
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
