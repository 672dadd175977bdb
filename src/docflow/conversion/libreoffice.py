"""Turn an office file into PDF/A-2b with LibreOffice, in a process that can do little and not for long.

Rules:
- Every run has a folder of its own with a profile of its own, gone afterwards: nothing that one file
  leaves behind meets the next.
- The process knows none of the service's settings, has no network where the kernel lets an ordinary
  process give its own up (`unshare --net`), and is killed with all its children when time is over.
- In the profile macros are off, links are never followed or updated, active content is off.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from docflow.conversion.office import OFFICE_TYPES
from docflow.kernel.errors import ConfigurationError, InvalidInputError, UnavailableError

_PDF_A: Final = 'pdf:writer_pdf_Export:{"SelectPdfVersion":{"type":"long","value":"2"}}'
_PREFIX: Final = "convert-"
_TOLD: Final = frozenset({"PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV"})
_LEFT_OVER_S: Final = 3600.0
_PROFILE: Final = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop>
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop>
<prop oor:name="DisablePythonRuntime" oor:op="fuse"><value>true</value></prop>
<prop oor:name="DisableActiveContent" oor:op="fuse"><value>true</value></prop>
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop>
</item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>2</value></prop>
</item>
</oor:items>
"""


@dataclass(frozen=True, slots=True)
class Converter:
    """LibreOffice, found and bounded.

    Attributes:
        program: the `soffice` program.
        folder: where the folders of runs are made.
        timeout_s: wall-clock seconds until a run is killed.
        memory_bytes: address space that each of its processes may have.
        most_bytes: the largest file that it may write.
        without_network: the command that gives the network up; empty where the kernel refuses it.
    """

    program: Path
    folder: Path
    timeout_s: float = 120.0
    memory_bytes: int = 2 << 30
    most_bytes: int = 100 << 20
    without_network: tuple[str, ...] = ()

    @contextlib.contextmanager
    def converted(self, source: BinaryIO, media_type: str) -> Iterator[Path]:
        """Convert what is left to read of `source`; the PDF is there until the context ends.

        Args:
            source: an office file that `require_convertible` accepted.
            media_type: one of `OFFICE_TYPES`.

        Raises:
            InvalidInputError: code conversion-timeout or conversion-failed.
            UnavailableError: if the program cannot be started.
        """
        self._sweep()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.folder))
        try:
            given = folder / f"document.{OFFICE_TYPES[media_type]}"
            with given.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 18)
            profile = folder / "profile" / "user"
            profile.mkdir(parents=True)
            (profile / "registrymodifications.xcu").write_text(_PROFILE, encoding="utf-8")
            self._run(folder, given)
            made = folder / "out" / "document.pdf"
            if not made.is_file() or made.stat().st_size == 0:
                raise _failed(
                    "LibreOffice could not read it, or needs more memory than it may have"
                )
            yield made
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, folder: Path, given: Path) -> None:
        limits = (self.memory_bytes, int(self.timeout_s) + 1, self.most_bytes)
        command = [
            sys.executable, "-m", "docflow.conversion.child", *map(str, limits),
            *self.without_network, str(self.program),
            f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck",
            "--convert-to", _PDF_A, "--outdir", str(folder / "out"), str(given),
        ]  # fmt: skip
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's program, no shell
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(folder),
            )
        except OSError as error:
            raise UnavailableError("The converter of office files cannot be started.") from error
        try:
            process.wait(self.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise InvalidInputError(
                f"Converting the file took longer than {self.timeout_s:g} seconds and was broken off; "
                "save it as PDF with the program that made it, or make it simpler.",
                code="conversion-timeout",
            ) from error
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _sweep(self) -> None:
        """Remove what a run left behind whose service was killed."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        limit = time.time() - max(_LEFT_OVER_S, 2 * self.timeout_s)
        for path in self.folder.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path, ignore_errors=True)


def find_converter(
    named: str, folder: Path, *, timeout_s: float, memory_bytes: int, most_bytes: int
) -> Converter | None:
    """Return the converter of this host.

    Args:
        named: the program; empty: `soffice` on the PATH, if it is there.
        folder: where the folders of runs are made.
        timeout_s: as in `Converter`.
        memory_bytes: as in `Converter`.
        most_bytes: as in `Converter`.

    Raises:
        ConfigurationError: if a program is named that is not there.
    """
    found = shutil.which(named or "soffice")
    if found is None:
        if named:
            raise ConfigurationError(
                f"DOCFLOW_LIBREOFFICE names {named!r}, which is no program here; name LibreOffice's "
                "`soffice`, or leave it out."
            )
        return None
    return Converter(
        Path(found).absolute(), folder, timeout_s, memory_bytes, most_bytes, _without_network()
    )


@functools.cache
def _without_network() -> tuple[str, ...]:
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    command = (unshare, "--map-current-user", "--net", "--")
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        tried = subprocess.run(  # noqa: S603 - fixed words
            [*command, shutil.which("true") or "/bin/true"],
            capture_output=True,
            timeout=20,
            check=False,
        )
        if tried.returncode == 0:
            return command
    return ()


def _environment(folder: Path) -> dict[str, str]:
    """Return what the process is told: nothing of the service, a home and temporary folder of its own."""
    told = {name: value for name, value in os.environ.items() if name in _TOLD}
    return told | {"HOME": str(folder), "TMPDIR": str(folder), "SAL_USE_VCLPLUGIN": "svp"}


def _failed(why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The file could not be converted: {why}. Save it as PDF with the program that made it.",
        code="conversion-failed",
    )
