"""A file system with nothing in it but programs: bubblewrap, around what reads strangers' files.

Rules:
- Inside there are the host's programs, libraries and fonts, read-only, and room in memory that is gone
  with the process. There is no data folder, key, setting, database, home or network, and no other
  process to be seen.
- What goes in and comes out are open files, in memory: nothing of it touches a disk.
- It is tried once, for real. A host without bubblewrap, or one whose kernel gives ordinary processes no
  namespaces, has no sandbox.

Source: bwrap(1); namespaces(7).
"""

import contextlib
import functools
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORK: Final = "/work"
_PROGRAMS: Final = Path("/usr")
_LINKED: Final = ("bin", "sbin", "lib", "lib32", "lib64")
_SHOWN: Final = (
    "/etc/fonts", "/etc/libreoffice", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/var/cache/fontconfig",
)  # fmt: skip
_TMP: Final = "/tmp"  # noqa: S108 - the sandbox's own
_TMP_BYTES: Final = 16 << 20
_NOBODY: Final = "65534"
_PROBE_S: Final = 20


@dataclass(frozen=True, slots=True)
class Sandbox:
    """bubblewrap on this host, tried."""

    program: Path

    def command(
        self,
        *command: str,
        shown: Path | None = None,
        room_bytes: int,
        files: Mapping[str, int],
        environment: Mapping[str, str],
    ) -> list[str]:
        """Return the words that run a command in a sandbox of its own.

        Args:
            command: the program and its arguments.
            shown: a program that it needs and that may lie outside of `/usr`.
            room_bytes: how much the folder `WORK` may hold.
            files: path below `WORK` → descriptor of the open file that becomes it.
            environment: all that the command is told.
        """
        words = [
            str(self.program),
            "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
            "--cap-drop", "ALL", "--uid", _NOBODY, "--gid", _NOBODY, "--clearenv",
        ]  # fmt: skip
        for name, value in environment.items():
            words += ["--setenv", name, value]
        words += [*_host(), "--size", str(_TMP_BYTES), "--tmpfs", _TMP]
        words += _shown(shown) if shown else []
        words += ["--size", str(room_bytes), "--tmpfs", WORK]
        for path, descriptor in files.items():
            words += ["--dir", str(Path(path).parent), "--file", str(descriptor), path]
        return [
            *words,
            "--remount-ro",
            "/dev",
            "--remount-ro",
            "/",
            "--chdir",
            WORK,
            "--",
            *command,
        ]


@functools.cache
def find_sandbox() -> Sandbox | None:
    """Return the sandbox of this host, None if it has none."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    sandbox = Sandbox(Path(program).absolute())
    words = sandbox.command("/usr/bin/true", room_bytes=1 << 20, files={}, environment={})
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        tried = subprocess.run(  # noqa: S603 - fixed words
            words, capture_output=True, timeout=_PROBE_S, check=False, stdin=subprocess.DEVNULL
        )
        if tried.returncode == 0:
            return sandbox
    return None


def _host() -> list[str]:
    """Show programs, libraries and fonts; of what the operator put below /usr/local, fonts alone."""
    words = ["--ro-bind", str(_PROGRAMS), str(_PROGRAMS), "--tmpfs", "/usr/local"]
    fonts = "/usr/local/share/fonts"
    words += ["--ro-bind-try", fonts, fonts]
    for name in _LINKED:
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():  # a host whose /bin is not yet /usr/bin
            words += ["--ro-bind", str(path), str(path)]
    for shown in _SHOWN:
        words += ["--ro-bind-try", shown, shown]
    return [*words, "--proc", "/proc", "--dev", "/dev"]


def _shown(program: Path) -> list[str]:
    """Show a program that lies elsewhere: LibreOffice's own folder, or the one file."""
    real = program.resolve()
    if real.is_relative_to(_PROGRAMS) and not real.is_relative_to(_PROGRAMS / "local"):
        return []
    own = real.parent.parent if real.parent.name == "program" else real
    words = ["--ro-bind", str(own), str(own)]
    if program != real:
        words += ["--ro-bind", str(real), str(program)]
    return words
