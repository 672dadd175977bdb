"""Where the files of a ZIP lie: one after another from its first byte to its directory, and nothing else.

A reader goes by the directory at the end, or from file to file as they come (tar-like, as Java's
ZipInputStream). What the two would unpack to different things is refused:
- bytes that belong to no file, or to two, before, between and after files, and in the directory;
- a file whose own header says another name, method, size or checksum than the directory does;
- packed data that ends before or after where they must, or that look like an end where they go on;
- extra fields other than those for times, owners and large sizes: others rename, or hide something.

Source: APPNOTE 6.3 (ZIP), 4.3 (structure), 4.4.4 (flags), 4.5 and 4.6 (extra fields).
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_FULL_16: Final = 0xFFFF
_FULL_32: Final = 0xFFFFFFFF
_DESCRIBED: Final = 0x8  # size and checksum follow the data
_UTF_8: Final = 0x800
_FLAGS: Final = _DESCRIBED | _UTF_8 | 0x6  # the last: how hard the packer tried
_DESCRIPTOR: Final = b"PK\x07\x08"
_ZIP64: Final = 0x0001
_EXTRAS: Final = {
    _ZIP64,
    0x000A,  # NTFS: times
    0x5455,  # times
    0x5855,  # times and owner, as first written by Info-ZIP
    0x7855,  # owner
    0x7875,  # owner
    0xCAFE,  # an archive of Java's; empty
}
_CHUNK: Final = 1 << 18
_SIZE: Final = 8
_TWO_SIZES: Final = 16


@dataclass(frozen=True, slots=True)
class _Told:
    """What a local header says."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: bytes
    wide: bool
    bytes: int


def check_directory(file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Refuse a directory that does not lie right after the files and right before the ZIP's end.

    Raises:
        ValueError: if it does not, or if bytes follow the end.
    """
    entries = archive.infolist()
    start: int = archive.start_dir
    size = file.seek(0, 2)
    end = size - _END.size - len(archive.comment)
    file.seek(max(end, 0))
    found = file.read(_END.size)
    if end < 0 or not found.startswith(b"PK\x05\x06"):
        raise ValueError("bytes follow the end of the ZIP")
    told = _END.unpack(found)[1:]
    place = start
    for entry in entries:
        place += _listed(file, place, entry)
    true = (0, 0, len(entries), len(entries), place - start, start)
    if place != end:
        _check_large(file, place, end, true)
    full = (_FULL_16,) * 4 + (_FULL_32,) * 2
    if any(
        a != b and (place == end or a != f) for a, b, f in zip(told[:6], true, full, strict=True)
    ):
        raise ValueError("the end of the ZIP says something else than its directory holds")


def check_files(file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Refuse files that do not lie one after another, each as the directory says; reads all of them.

    Call it when the sizes that the directory declares are known to be bounded.

    Raises:
        ValueError: if a rule is broken, or a file does not unpack to what is declared.
    """
    end = 0
    for entry in sorted(archive.infolist(), key=lambda one: one.header_offset):
        name = entry.filename[:100]
        if end == 0 and entry.header_offset != 0:
            raise ValueError("the ZIP does not begin with its first file")
        if entry.header_offset < end:
            raise ValueError(f"the file {name!r} overlaps with another in the ZIP")
        if entry.header_offset > end:
            raise ValueError(f"before the file {name!r} lie bytes that belong to no file")
        told = _local(file, end, name)
        _compare(entry, told)
        end += told.bytes
        _check_data(file, end, entry)
        end += entry.compress_size
        if entry.flag_bits & _DESCRIBED:
            end += _described(file, end, entry, wide=told.wide)
    if end != archive.start_dir:
        raise ValueError("before the directory of the ZIP lie bytes that belong to no file")


def _at(file: BinaryIO, place: int, form: struct.Struct, signature: bytes) -> tuple[int, ...]:
    file.seek(max(place, 0))
    data = file.read(form.size)
    if place < 0 or len(data) < form.size or not data.startswith(signature):
        raise ValueError("the ZIP is not laid out as its directory says")
    return form.unpack(data)[1:]


def _listed(file: BinaryIO, place: int, entry: zipfile.ZipInfo) -> int:
    """Check what the directory says of a file, and return how long that is."""
    found = _at(file, place, _CENTRAL, b"PK\x01\x02")
    flags, sizes, disk = found[2], found[9:12], found[12]
    name = file.read(sizes[0])
    extra = dict(_extras(file.read(sizes[1]), entry.filename))
    large = found[7:9].count(_FULL_32) + (found[15] == _FULL_32)
    if len(extra.get(_ZIP64, b"")) != large * _SIZE:
        raise ValueError(f"the extra fields of {entry.filename[:100]!r} are broken")
    if flags & ~_FLAGS & ~1:  # bit 0, encryption, has a sentence of its own
        raise ValueError(f"{entry.filename[:100]!r} has flags ({flags:#x}) that are not read here")
    if not flags & _UTF_8 and not name.isascii():
        raise ValueError(f"the name {entry.filename[:100]!r} is not marked as UTF-8")
    if _raw(entry) != name or disk != 0:
        raise ValueError(f"the name {entry.filename[:100]!r} is not read by all alike")
    return _CENTRAL.size + sum(sizes)


def _raw(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF_8 else "cp437")


def _check_large(file: BinaryIO, place: int, end: int, true: tuple[int, ...]) -> None:
    """Check the end record for large ZIPs and its locator, which stand between directory and end."""
    length, _, _, disk, first, here, count, size, at = _at(file, place, _END_64, b"PK\x06\x06")
    locator = _at(file, place + _END_64.size, _LOCATOR, b"PK\x06\x07")
    if (
        length != _END_64.size - 12
        or (disk, first, here, count, size, at) != true
        or locator != (0, place, 1)
        or place + _END_64.size + _LOCATOR.size != end
    ):
        raise ValueError("between the directory and the end of the ZIP lies something else")


def _extras(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each extra field."""
    seen = set()
    while data:
        if len(data) < 4:  # noqa: PLR2004 - its number and its length
            raise ValueError(f"the extra fields of {name[:100]!r} are broken")
        number, length = struct.unpack_from("<2H", data)
        content, data = data[4 : 4 + length], data[4 + length :]
        if len(content) != length or number in seen:
            raise ValueError(f"the extra fields of {name[:100]!r} are broken")
        if number not in _EXTRAS:
            raise ValueError(
                f"{name[:100]!r} has an extra field ({number:#06x}) that not all read alike"
            )
        seen.add(number)
        yield number, content


def _local(file: BinaryIO, place: int, name: str) -> _Told:
    found = _at(file, place, _LOCAL, b"PK\x03\x04")
    _, flags, method, _, _, crc, packed, size, of_name, of_extra = found
    raw = file.read(of_name)
    extra = dict(_extras(file.read(of_extra), name))
    large = extra.get(_ZIP64)
    if large is not None:
        sizes = struct.unpack("<2Q", large) if len(large) == _TWO_SIZES else None
        if sizes is None or ((packed != size or size != _FULL_32) and sizes != (size, packed)):
            raise ValueError(f"the extra fields of {name!r} are broken")
        size, packed = sizes
    length = _LOCAL.size + of_name + of_extra
    return _Told(flags, method, crc, packed, size, raw, large is not None, length)


def _compare(entry: zipfile.ZipInfo, told: _Told) -> None:
    name = entry.filename[:100]
    if told.name != _raw(entry):
        raise ValueError(f"the file {name!r} has another name in front of its data")
    if (told.flags, told.method) != (entry.flag_bits, entry.compress_type):
        raise ValueError(f"the file {name!r} is packed otherwise than the directory says")
    found = (told.crc, told.packed, told.size)
    later = bool(entry.flag_bits & _DESCRIBED) and not any(found)
    if not later and found != (entry.CRC, entry.compress_size, entry.file_size):
        raise ValueError(f"the file {name!r} has another size or checksum in front of its data")


def _check_data(file: BinaryIO, place: int, entry: zipfile.ZipInfo) -> None:
    """Unpack a file: it has to end where the directory says, with the size named there.

    The checksum is left to who reads the file, and can say which signature it spoils.
    """
    file.seek(place)
    deflated = entry.compress_type == zipfile.ZIP_DEFLATED
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if deflated else None
    rest, size, tail = entry.compress_size, 0, b""
    while rest:
        packed = file.read(min(rest, _CHUNK))
        if not packed:
            break
        rest -= len(packed)
        if unpack is None:
            _check_no_end(tail + packed, entry)
            tail = packed[-3:]
        for piece in _unpacked(unpack, packed, entry):
            size += len(piece)
            if size > entry.file_size:
                raise ValueError(f"{entry.filename[:100]!r} unpacks to more than is declared")
    whole = rest == 0 and (unpack is None or (unpack.eof and not unpack.unused_data))
    if not whole or size != entry.file_size:
        raise ValueError(f"{entry.filename[:100]!r} does not end where it must")


def _unpacked(
    unpack: "zlib._Decompress | None", packed: bytes, entry: zipfile.ZipInfo
) -> Iterator[bytes]:
    if unpack is None:
        yield packed
        return
    try:
        while packed and not unpack.eof:
            yield unpack.decompress(packed, _CHUNK)
            packed = unpack.unconsumed_tail
        if packed and not unpack.unused_data:
            raise ValueError(f"bytes follow the packed data of {entry.filename[:100]!r}")
    except zlib.error as error:
        raise ValueError(f"{entry.filename[:100]!r} cannot be unpacked: {error}") from error


def _check_no_end(data: bytes, entry: zipfile.ZipInfo) -> None:
    """Refuse stored data that look like their own end to a reader that has to look for it."""
    if entry.flag_bits & _DESCRIBED and _DESCRIPTOR in data:
        raise ValueError(f"where {entry.filename[:100]!r} ends is not read by all alike")


def _described(file: BinaryIO, place: int, entry: zipfile.ZipInfo, *, wide: bool) -> int:
    """Return how long the record behind a file's data is, which says its checksum and sizes."""
    found = (entry.CRC, entry.compress_size, entry.file_size)
    try:
        said = struct.pack("<L2Q" if wide else "<3L", *found)
    except struct.error:
        said = b""
    for record in (_DESCRIPTOR + said, said):
        file.seek(place)
        if said and file.read(len(record)) == record:
            return len(record)
    raise ValueError(f"behind {entry.filename[:100]!r} stands no record of its size and checksum")
