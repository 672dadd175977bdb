"""ZIP files that two readers unpack to different things: by the directory, or as the files come."""

import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

import pytest

from tests.pki_support import LivePki
from tests.service.test_verification import FILES, Judge
from tests.service.test_verification_attacks import assert_failed
from tests.unit.signing.forge import run
from tests.verification_support import Maker

_EVIL = b"999,999,999 VND for Mallory\n"
_UNICODE_PATH = 0x7075


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def made(pki: LivePki) -> bytes:
    return Maker(pki).asic(FILES)


class Stream(BytesIO):
    """What cannot be sought in: sizes come after the data."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise OSError("no")

    def tell(self) -> int:
        raise OSError("no")


def repacked(
    data: bytes,
    out: BytesIO | None = None,
    *,
    method: int = zipfile.ZIP_DEFLATED,
    extra: Mapping[str, bytes] | None = None,
    large: bool = False,
) -> bytes:
    """Return the same files in another ZIP."""
    target = out or BytesIO()
    with (
        zipfile.ZipFile(BytesIO(data)) as old,
        zipfile.ZipFile(target, "w", method) as new,
    ):
        for name in old.namelist():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else method
            info.extra = (extra or {}).get(name, b"")
            opened: IO[bytes]
            with new.open(info, "w", force_zip64=large) as opened:
                opened.write(old.read(name))
    return target.getvalue()


def inserted(data: bytes, place: int, more: bytes) -> bytes:
    """Put bytes between two files or before the directory, which is put right."""
    found = bytearray(data)
    end = found.rindex(b"PK\x05\x06")
    count, start = struct.unpack_from("<H", found, end + 10)[0], directory(data)
    header = start
    for _ in range(count):
        lengths = struct.unpack_from("<3H", found, header + 28)
        (offset,) = struct.unpack_from("<L", found, header + 42)
        if offset >= place:
            struct.pack_into("<L", found, header + 42, offset + len(more))
        header += 46 + sum(lengths)
    struct.pack_into("<L", found, end + 16, start + len(more))
    return bytes(found[:place]) + more + bytes(found[place:])


def directory(data: bytes) -> int:
    found: int = struct.unpack_from("<L", data, data.rindex(b"PK\x05\x06") + 16)[0]
    return found


def second(data: bytes) -> int:
    """Return where the second file begins."""
    return sorted(one.header_offset for one in zipfile.ZipFile(BytesIO(data)).infolist())[1]


def hidden(name: str) -> bytes:
    """Return a file with its header, as it stands in a ZIP, without a directory."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(name, _EVIL)
    return out.getvalue()[: directory(out.getvalue())]


def refused(judge: Judge, data: bytes) -> str:
    report = judge(data)
    assert_failed(report)
    return " ".join(report.reasons)


def extra(number: int, content: bytes = b"") -> bytes:
    return struct.pack("<2H", number, len(content)) + content


@pytest.mark.parametrize("name", ["evil.txt", next(iter(FILES))])
@pytest.mark.parametrize("where", ["between", "at the end"])
def test_a_file_that_the_directory_does_not_list_fails(
    judge: Judge, made: bytes, name: str, where: str
) -> None:
    place = second(made) if where == "between" else directory(made)
    data = inserted(made, place, hidden(name))
    assert zipfile.ZipFile(BytesIO(data)).testzip() is None  # by the directory all is well
    assert "belong to no file" in refused(judge, data)


@pytest.mark.parametrize("more", [b"\0", b"JUNK" * 8, b"PK\x05\x06" + bytes(18)])
def test_bytes_that_belong_to_no_file_fail(judge: Judge, made: bytes, more: bytes) -> None:
    for place in (second(made), directory(made)):
        assert "belong to no file" in refused(judge, inserted(made, place, more))
    place = made.rindex(b"PK\x05\x06")
    assert_failed(judge(made[:place] + more + made[place:]))
    assert_failed(judge(made + more))
    assert_failed(judge(more + made))


def test_a_file_hidden_behind_packed_data_fails(judge: Judge, made: bytes) -> None:
    """Java's reader ends a file where its packed data end, and goes on there."""
    more, name = hidden("evil.txt"), next(iter(FILES))
    entry = zipfile.ZipFile(BytesIO(made)).getinfo(name)
    place = entry.header_offset + 30 + len(name.encode())
    data = bytearray(inserted(made, place + entry.compress_size, more))
    listed = data.rindex(name.encode(), directory(bytes(data))) - 46
    for place in (entry.header_offset + 18, listed + 20):
        struct.pack_into("<L", data, place, entry.compress_size + len(more))
    assert zipfile.ZipFile(BytesIO(bytes(data))).testzip() is None
    assert "does not end where it must" in refused(judge, bytes(data))


@pytest.mark.parametrize(
    ("at", "length", "value"),
    [
        (6, 2, 0x0801),  # flags: encrypted
        (8, 2, 0),  # method
        (14, 4, 1),  # checksum
        (18, 4, 1),  # size of what is packed
        (22, 4, 1),  # size
        (30, 1, ord("X")),  # name
    ],
)
def test_a_file_that_is_told_otherwise_in_front_of_its_data_fails(
    judge: Judge, made: bytes, at: int, length: int, value: int
) -> None:
    data = bytearray(made)
    place = second(made) + at
    data[place : place + length] = value.to_bytes(length, "little")
    refused(judge, bytes(data))


@pytest.mark.parametrize("number", [_UNICODE_PATH, 0x6375, 0x000D, 0x9901, 0x1234])
def test_an_extra_field_that_not_all_read_alike_fails(
    judge: Judge, made: bytes, number: int
) -> None:
    name = next(iter(FILES))
    content = b"\1" + struct.pack("<L", 0) + b"evil.exe"
    data = repacked(made, extra={name: extra(number, content)})
    assert f"{number:#06x}" in refused(judge, data)


@pytest.mark.parametrize(
    "broken", [b"\0", b"\0\0\0", extra(0x5455, b"\1")[:-1], extra(1, b"1234"), extra(0xCAFE) * 2]
)
def test_broken_extra_fields_fail(judge: Judge, made: bytes, broken: bytes) -> None:
    assert_failed(judge(repacked(made, extra={next(iter(FILES)): broken})))


def test_a_folder_holds_nothing_and_has_no_files_name(judge: Judge, pki: LivePki) -> None:
    name, maker = next(iter(FILES)), Maker(pki)
    assert judge(maker.asic(FILES, extra={"empty/": b""})).indication == "TOTAL-PASSED"
    assert "holds bytes" in refused(judge, maker.asic(FILES, extra={"full/": _EVIL}))
    told = refused(judge, maker.asic(FILES, extra={f"{name}/": b""}))
    assert "as a file and as a folder" in told


class TestOthersContainers:
    """What other programs write must pass."""

    def test_sizes_may_come_after_the_data(self, judge: Judge, made: bytes) -> None:
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            data = repacked(made, Stream(), method=method)
            assert b"PK\x07\x08" in data
            assert judge(data).indication == "TOTAL-PASSED"

    def test_stored_data_that_look_like_their_end_do_not(self, judge: Judge, pki: LivePki) -> None:
        made = Maker(pki).asic({"a.bin": b"one" + b"PK\x07\x08" + bytes(12) + hidden("evil.txt")})
        assert judge(repacked(made, method=zipfile.ZIP_STORED)).indication == "TOTAL-PASSED"
        data = repacked(made, Stream(), method=zipfile.ZIP_STORED)
        assert "is not read by all alike" in refused(judge, data)

    def test_sizes_may_be_written_large(self, judge: Judge, made: bytes) -> None:
        assert judge(repacked(made, large=True)).indication == "TOTAL-PASSED"
        assert judge(repacked(made, Stream(), large=True)).indication == "TOTAL-PASSED"

    def test_times_owners_and_javas_mark_may_stand_there(self, judge: Judge, made: bytes) -> None:
        times = extra(0x5455, b"\1" + bytes(4)) + extra(
            0x7875, b"\1\4" + bytes(4) + b"\4" + bytes(4)
        )
        told = {"mimetype": extra(0xCAFE), next(iter(FILES)): times}
        assert judge(repacked(made, extra=told)).indication == "TOTAL-PASSED"

    def test_a_comment_may_stand_at_the_end(self, judge: Judge, made: bytes) -> None:
        out = BytesIO(made)
        with zipfile.ZipFile(out, "a") as packed:
            packed.comment = b"mimetype=application/vnd.etsi.asic-e+zip"
        assert judge(out.getvalue()).indication == "TOTAL-PASSED"

    def test_info_zips_pass(self, judge: Judge, pki: LivePki, tmp_path: Path) -> None:
        files, target = tmp_path / "files", tmp_path / "made.asice"
        with zipfile.ZipFile(BytesIO(Maker(pki).asic({"a.txt": b"a" * 99, "b/c.txt": b""}))) as old:
            old.extractall(files)
        script = "cd $0 && zip -X -0 $1 mimetype && zip -r $1 . -x mimetype"
        run("sh", "-c", script, files, target)
        assert {one.extra != b"" for one in zipfile.ZipFile(target).infolist()} == {False, True}
        assert judge(target.read_bytes()).indication == "TOTAL-PASSED"


def test_a_name_in_letters_that_are_not_marked_as_utf_8_fails(judge: Judge, made: bytes) -> None:
    data = bytearray(made)
    place = second(made)
    for at in (place + 6, data.rindex(next(iter(FILES)).encode()) - 46 + 8):
        assert struct.unpack_from("<H", data, at)[0] & 0x800
        data[at + 1] &= ~0x8
    assert "not marked as UTF-8" in refused(judge, bytes(data))
