"""LibreOffice in its sandbox: what it can do there, and what it cannot see."""

import dataclasses
import io
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docflow.conversion import Converter, Sandbox, find_converter, find_sandbox
from docflow.conversion.office import DOCX, ODP, ODS, ODT, PPTX, RTF, XLSX
from docflow.kernel.errors import InvalidInputError
from docflow.signing.sniff import sniff
from tests.e2e.test_marker_nowhere import Watch
from tests.office_files import (
    TEXT,
    docx,
    odp,
    ods,
    odt,
    pptx,
    relationship,
    relationships,
    rtf,
    titled,
    xlsx,
)  # fmt: skip
from tests.preflight import violations

MARKER = "m4rk-of-this-machine"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    found = find_sandbox()
    assert found is not None, "bubblewrap is not installed, or may make no namespaces"
    return found


@pytest.fixture
def converter(sandbox: Sandbox, tmp_path: Path) -> Converter:
    found = find_converter(
        "",
        tmp_path / "work",
        timeout_s=120,
        memory_bytes=2 << 30,
        most_bytes=10 << 20,
        sandbox=sandbox,
    )
    assert found is not None, "LibreOffice is not installed"
    return found


def inside(sandbox: Sandbox, script: str, **files: int) -> subprocess.CompletedProcess[str]:
    """Run a script in the same sandbox as LibreOffice."""
    words = sandbox.command(
        "/bin/sh", "-c", script, room_bytes=1 << 20,
        files={f"/work/{name}": number for name, number in files.items()}, environment={"A": "b"},
    )  # fmt: skip
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        pass_fds=tuple(files.values()),
    )


def text_of(data: bytes) -> str:
    done = subprocess.run(["pdftotext", "-", "-"], input=data, capture_output=True, check=True)
    return done.stdout.decode()


def converted(converter: Converter, data: bytes, media_type: str) -> bytes:
    with converter.converted(io.BytesIO(data), media_type) as made:
        return made.read()


def test_in_the_sandbox_there_is_nothing_but_programs(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "marker"
    secret.write_text(MARKER)
    told = inside(
        sandbox,
        f"cat {secret} /etc/passwd /etc/docflow; ls -d {Path.cwd()} /root /home /run /sys /srv /opt; "
        "ls -A / /usr/local/bin /work; env; id -u; cat /proc/net/dev",
    )
    assert MARKER not in told.stdout
    shown = told.stdout.split()
    assert {"usr", "work", "65534", "A=b"} <= set(shown)
    assert {"root", "home", "run", "sys", "srv", "opt", "boot", "mnt"}.isdisjoint(shown)
    network = [line.split(":")[0].strip() for line in told.stdout.splitlines() if ": " in line]
    assert network == ["lo"]
    for gone in (str(secret), "/etc/passwd", str(Path.cwd()), "/root", "/home"):
        assert gone in told.stderr


def test_the_sandbox_cannot_be_written_to_or_left(sandbox: Sandbox) -> None:
    told = inside(
        sandbox,
        "for at in /x /usr/x /etc/x /dev/x /dev/shm/x /var/x /proc/x; "
        "do touch $at && echo wrote $at; done; unshare --user true && echo left; "
        "mount -t tmpfs none /usr && echo mounted; "
        "head -c 3000000 /dev/zero > /work/big; wc -c < /work/big; ls /proc | grep -c '^[0-9]'",
    )
    assert "wrote" not in told.stdout
    assert "left" not in told.stdout
    assert "mounted" not in told.stdout
    size, processes = told.stdout.split()
    assert int(size) <= 1 << 20  # no more than it may hold
    assert int(processes) < 8  # it sees its own


def test_a_process_that_is_not_root_has_the_sandbox_too(sandbox: Sandbox) -> None:
    if os.getuid() != 0:
        pytest.skip("this already is no root")
    words = sandbox.command("/usr/bin/id", "-u", room_bytes=1 << 20, files={}, environment={})
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, user=65534, group=65534, cwd="/"
    )
    assert (done.returncode, done.stdout) == (0, "65534\n"), done.stderr


@pytest.mark.slow
def test_an_office_file_is_converted_in_memory_alone(converter: Converter) -> None:
    assert converter.confined
    data = converted(converter, docx(), DOCX)
    assert data.startswith(b"%PDF-")
    assert TEXT in text_of(data)
    assert not converter.folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "media_type"),
    [(xlsx, XLSX), (ods, ODS), (pptx, PPTX), (odp, ODP), (odt, ODT), (rtf, RTF)],
    ids=["xlsx", "ods", "pptx", "odp", "odt", "rtf"],
)
def test_tables_and_slides_become_pdf_a_too(
    converter: Converter, make: Callable[[], bytes], media_type: str, tmp_path: Path
) -> None:
    assert converter.reads(media_type)
    assert sniff(make()) == media_type
    path = tmp_path / "made.pdf"
    path.write_bytes(converted(converter, make(), media_type))
    assert TEXT in " ".join(text_of(path.read_bytes()).split())
    assert violations(path, "2b") == []


def test_a_part_of_libreoffice_that_is_not_installed_is_known(
    converter: Converter, tmp_path: Path
) -> None:
    program = tmp_path / "program" / "soffice"
    program.parent.mkdir()
    for name in ("soffice", "soffice.bin", "libswlo.so"):
        (program.parent / name).touch()
    writer = dataclasses.replace(converter, program=program)
    assert [writer.reads(one) for one in (DOCX, ODT, RTF, XLSX, ODS, PPTX, ODP)] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.slow
def test_what_is_converted_lies_on_the_disk_without_a_sandbox_alone(
    converter: Converter, tmp_path: Path
) -> None:
    given = titled(MARKER)
    for sandbox, lies in ((converter.sandbox, False), (None, True)):
        with Watch(MARKER.encode(), tmp_path) as watch:
            one = dataclasses.replace(converter, sandbox=sandbox)
            assert MARKER.encode() in converted(one, given, DOCX)
        assert watch.looks > 10
        assert bool(watch.found) == lies, watch.found


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A listener on loopback, and who came."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                came.append("someone")
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], came
        ended.set()
        thread.join()


@pytest.mark.slow
def test_what_a_document_links_to_is_not_there(
    converter: Converter, tmp_path: Path, listener: tuple[int, list[str]]
) -> None:
    """The door refuses such files; the sandbox is for what it might miss."""
    port, came = listener
    secret = tmp_path / "secret.txt"
    secret.write_text(MARKER)
    web = f"http://127.0.0.1:{port}/picture.png"
    given = (
        odt(
            f'<text:section text:name="s"><text:section-source xlink:href="{secret.as_uri()}"/>'
            f"<text:p/></text:section>"
            f'<text:p><draw:frame><draw:image xlink:href="{web}"/></draw:frame></text:p>'
        ),
        docx(
            '<w:p><w:fldSimple w:instr="INCLUDETEXT &quot;' + str(secret) + '&quot;">'
            "<w:r><w:t>x</w:t></w:r></w:fldSimple></w:p>",
            {"word/_rels/document.xml.rels": relationships(relationship("image", web, "External"))},
        ),
    )  # fmt: skip
    for data, media_type in zip(given, (ODT, DOCX), strict=True):
        made = converted(converter, data, media_type)
        assert TEXT in text_of(made)
        assert MARKER not in text_of(made)
    assert came == []


def spying(folder: Path, script: str) -> Path:
    """A program in LibreOffice's place, outside of /usr."""
    path = folder / "soffice"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_converter_knows_no_setting_and_has_no_network(
    converter: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCFLOW_S3_SECRET_KEY_FILE", "/etc/secret")
    spy = spying(
        tmp_path,
        "mkdir out; { env; cat /proc/net/dev; ls -l /proc/self/fd; ls -R /work; } > out/document.pdf",
    )
    told = converted(dataclasses.replace(converter, program=spy), docx(), DOCX).decode()
    assert "DOCFLOW" not in told
    assert "HOME=/work" in told
    assert "document.docx" in told
    assert "registrymodifications.xcu" in told
    assert "eth" not in told
    assert "memfd" not in told  # its own output is all that it holds


def test_without_a_sandbox_the_converter_knows_no_setting_either(
    converter: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCFLOW_S3_SECRET_KEY_FILE", "/etc/secret")
    spy = spying(tmp_path, f"mkdir out; env > out/document.pdf; pwd > {tmp_path}/seen")
    found = find_converter(
        str(spy),
        tmp_path / "work",
        timeout_s=60,
        memory_bytes=2 << 30,
        most_bytes=1 << 20,
        sandbox=None,
    )
    assert found is not None
    assert not found.confined
    told = converted(found, docx(), DOCX).decode()
    assert "DOCFLOW" not in told
    assert (tmp_path / "seen").read_text().startswith(str(tmp_path / "work"))
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("confined", [True, False])
def test_a_converter_that_takes_too_long_is_killed_with_its_children(
    converter: Converter, tmp_path: Path, confined: bool
) -> None:
    length = f"31{os.getpid() % 10_000}{int(confined)}"  # how this test knows its own children
    slow = dataclasses.replace(
        converter,
        program=spying(tmp_path, f"sleep {length} & wait"),
        timeout_s=1.5,
        sandbox=converter.sandbox if confined else None,
    )
    with pytest.raises(InvalidInputError) as refusal:
        converted(slow, docx(), DOCX)
    assert refusal.value.code == "conversion-timeout"
    time.sleep(0.3)
    assert sleeping(length) == []
    assert not converter.folder.exists() or list(converter.folder.iterdir()) == []


def sleeping(length: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", length.encode()]:
                found.append(str(path))
        except OSError:
            continue
    return found


def test_no_more_is_taken_out_than_a_file_may_have(converter: Converter, tmp_path: Path) -> None:
    spy = spying(tmp_path, "mkdir out; head -c 2000000 /dev/zero > out/document.pdf")
    small = dataclasses.replace(converter, program=spy, most_bytes=1 << 20)
    made = converted(small, docx(), DOCX)
    assert len(made) <= 1 << 20


def test_what_makes_nothing_is_told(converter: Converter, tmp_path: Path) -> None:
    for program in (spying(tmp_path, "exit 1"), Path("/bin/true")):
        with pytest.raises(InvalidInputError) as refusal:
            converted(dataclasses.replace(converter, program=program), docx(), DOCX)
        assert refusal.value.code == "conversion-failed"
