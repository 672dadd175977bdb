"""Turn an office file into PDF/A-2b with LibreOffice, in a process that can do little and not for long.

Rules:
- Every run has a profile of its own, gone afterwards: nothing that one file leaves behind meets the
  next.
- The process runs in a sandbox (`sandbox`): no file of the host but programs and fonts, no network. The
  file goes in and the PDF comes out in memory. A converter without one has a folder on the disk, sees
  the host's files, and has no network where the kernel lets an ordinary process give its own up.
- It knows none of the service's settings, and is killed with all its children when time is over.
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
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from docflow.conversion.office import DOC, DOCX, ODP, ODS, ODT, OFFICE_TYPES, PPTX, RTF, XLSX
from docflow.conversion.sandbox import WORK, Sandbox
from docflow.kernel.errors import ConfigurationError, InvalidInputError, UnavailableError
from docflow.storage import MemoryFile

_PDF_A: Final = 'pdf:%s_pdf_Export:{"SelectPdfVersion":{"type":"long","value":"2"}}'
# The part of LibreOffice that reads a kind of file, and the library by which it is known to be installed.
_PARTS: Final = {
    **dict.fromkeys((DOCX, ODT, RTF, DOC), ("writer", "libswlo.so")),
    **dict.fromkeys((XLSX, ODS), ("calc", "libsclo.so")),
    **dict.fromkeys((PPTX, ODP), ("impress", "libsdlo.so")),
}
_PREFIX: Final = "convert-"
_REGISTRY: Final = "profile/user/registrymodifications.xcu"
_MADE: Final = "out/document.pdf"
# What LibreOffice needs besides the file: an unpacked copy, the PDF, and its profile.
_ROOM_FILES: Final = 4
_ROOM_BYTES: Final = 64 << 20
_TOLD: Final = frozenset({"PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV"})
_LANGUAGE: Final = frozenset({"LANG", "LC_ALL"})
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
<item oor:path="/org.openoffice.Office.Calc/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>1</value></prop>
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
        without_network: the command that gives the network up, without a sandbox; empty where the
            kernel refuses it.
        sandbox: what each run is confined in; None: it is not.
    """

    program: Path
    folder: Path
    timeout_s: float = 120.0
    memory_bytes: int = 2 << 30
    most_bytes: int = 100 << 20
    without_network: tuple[str, ...] = ()
    sandbox: Sandbox | None = None

    @property
    def confined(self) -> bool:
        """Tell whether what is converted stays in memory, out of reach of the host's files."""
        return self.sandbox is not None

    def reads(self, media_type: str) -> bool:
        """Tell whether the part of LibreOffice that reads such files is installed."""
        folder = self.program.resolve().parent
        libraries = folder / _PARTS[media_type][1], folder / "libmergedlo.so"
        return any(one.exists() for one in libraries) or not (folder / "soffice.bin").exists()

    @contextlib.contextmanager
    def converted(self, source: BinaryIO, media_type: str) -> Iterator[BinaryIO]:
        """Convert what is left to read of `source`; the PDF is open until the context ends.

        Args:
            source: an office file that `require_convertible` accepted.
            media_type: one of `OFFICE_TYPES`.

        Raises:
            InvalidInputError: code conversion-timeout or conversion-failed.
            UnavailableError: if the program cannot be started.
        """
        sandbox = self.sandbox
        running = (
            self._confined(sandbox, source, media_type)
            if sandbox
            else self._unconfined(source, media_type)
        )
        with running as file:
            if file.seek(0, os.SEEK_END) == 0:
                raise _failed(
                    "LibreOffice could not read it, or needs more memory than it may have"
                )
            file.seek(0)
            yield file

    @contextlib.contextmanager
    def _confined(self, sandbox: Sandbox, source: BinaryIO, media_type: str) -> Iterator[BinaryIO]:
        """Run in the sandbox; a PDF that was not made is empty."""
        soffice = self._soffice(Path(WORK), media_type)
        with (
            MemoryFile.of(source) as given,
            MemoryFile.of(BytesIO(_PROFILE.encode())) as profile,
            MemoryFile() as made,
            given.path.open("rb") as document,
            profile.path.open("rb") as registry,
            made.path.open("w+b") as output,
        ):
            files = {
                soffice[-1]: document.fileno(),
                f"{WORK}/{_REGISTRY}": registry.fileno(),
            }
            words = sandbox.command(
                *_then_give(soffice),
                shown=self.program,
                room_bytes=_ROOM_FILES * self.most_bytes + _ROOM_BYTES,
                files=files,
                environment=_inside(),
            )
            self._run(words, output=output, descriptors=tuple(files.values()))
            yield output

    @contextlib.contextmanager
    def _unconfined(self, source: BinaryIO, media_type: str) -> Iterator[BinaryIO]:
        """Run in a folder of its own; a PDF that was not made is empty."""
        self._sweep()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.folder))
        try:
            soffice = self._soffice(folder, media_type)
            with Path(soffice[-1]).open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 18)
            registry = folder / _REGISTRY
            registry.parent.mkdir(parents=True)
            registry.write_text(_PROFILE, encoding="utf-8")
            self._run([*self.without_network, *soffice], folder=folder)
            made = folder / _MADE
            made.parent.mkdir(exist_ok=True)
            with made.open("rb" if made.is_file() else "w+b") as output:
                yield output
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _soffice(self, folder: Path, media_type: str) -> list[str]:
        """Return LibreOffice's words; the last one is the file that it reads."""
        name = f"document.{OFFICE_TYPES[media_type]}"
        return [
            str(self.program), f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck",
            "--convert-to", _PDF_A % _PARTS[media_type][0],
            "--outdir", str((folder / _MADE).parent), str(folder / name),
        ]  # fmt: skip

    def _run(
        self,
        words: list[str],
        *,
        folder: Path | None = None,
        output: BinaryIO | None = None,
        descriptors: tuple[int, ...] = (),
    ) -> None:
        limits = (self.memory_bytes, int(self.timeout_s) + 1, self.most_bytes)
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's program, no shell
                [sys.executable, "-m", "docflow.conversion.child", *map(str, limits), *words],
                cwd=folder or "/",
                stdin=subprocess.DEVNULL,
                stdout=output or subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=descriptors,
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
    named: str,
    folder: Path,
    *,
    timeout_s: float,
    memory_bytes: int,
    most_bytes: int,
    sandbox: Sandbox | None,
) -> Converter | None:
    """Return the converter of this host.

    Args:
        named: the program; empty: `soffice` on the PATH, if it is there.
        folder: where the folders of runs are made.
        timeout_s: as in `Converter`.
        memory_bytes: as in `Converter`.
        most_bytes: as in `Converter`.
        sandbox: as in `Converter`.

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
    program = Path(found).absolute()
    without_network = () if sandbox else _without_network()
    return Converter(program, folder, timeout_s, memory_bytes, most_bytes, without_network, sandbox)


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


def _inside() -> dict[str, str]:
    """Return what LibreOffice is told in the sandbox."""
    told = {name: value for name, value in os.environ.items() if name in _LANGUAGE}
    own = {"PATH": "/usr/bin:/bin", "HOME": WORK, "TMPDIR": WORK, "SAL_USE_VCLPLUGIN": "svp"}
    return told | own


def _then_give(command: list[str]) -> list[str]:
    """Return the words that run a command silently and write the PDF that it made to the output."""
    return ["/bin/sh", "-c", f'"$@" >/dev/null 2>&1; exec cat {WORK}/{_MADE}', "sh", *command]


def _environment(folder: Path | None) -> dict[str, str]:
    """Return what the process is told: nothing of the service; a home and temporary folder of its own."""
    told = {name: value for name, value in os.environ.items() if name in _TOLD}
    if folder is None:  # the sandbox's own words say what the program is told
        return told
    return told | {"HOME": str(folder), "TMPDIR": str(folder), "SAL_USE_VCLPLUGIN": "svp"}


def _failed(why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The file could not be converted: {why}. Save it as PDF with the program that made it.",
        code="conversion-failed",
    )
