"""Look into a document of Word 97 to 2003 before it may come in: a compound file with streams inside.

Rules:
- A stranger wrote the file: every chain of sectors is counted, and nothing is followed twice.
- Fields are sought in the text as it lies there. Word may cut a text into pieces, which is not undone, so a
  field can hide; hence such files are converted in a sandbox alone, where a link leads nowhere.

Source: [MS-CFB] (compound files), [MS-DOC] 2.5.2 (FibBase), 2.8.25 (fields).
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WORD_97: Final = 0xA5EC
_MAGIC: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_HEADER_BYTES: Final = 512
_ENTRY_BYTES: Final = 128
_IN_HEADER: Final = 109  # places of the table of sectors that the header tells itself
_NO_SECTOR: Final = 0xFFFFFFFA  # and above: an end, or nothing
_NOTHING: Final = 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_LARGEST_STREAM: Final = 32 << 20  # of text; pictures lie in another
_ENCRYPTED: Final = 0x0100
_ACTIVE: Final = frozenset(
    {
        "macros",
        "_vba_project",
        "_vba_project_cur",
        "vba",
        "\x01ole10native",
        "ocxname",
        "\x03ocxname",
    }
)
_CLOSED: Final = frozenset({"encryptedpackage", "encryptioninfo"})
_FIELD: Final = re.compile(
    r"\x13\s*(INCLUDE(TEXT|PICTURE)|DDE(AUTO)?|IMPORT|DATABASE|LINK|AUTOTEXT|MACROBUTTON|RD|EMBED"
    r"|CONTROL|HTMLCONTROL|ADDIN)\b",
    re.IGNORECASE,
)


class CrookedError(ValueError):
    """The file is no whole compound file."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    kind: int
    child: int
    start: int
    size: int


class CompoundFile:
    """The streams of a compound file, by name, wherever they lie."""

    def __init__(self, data: bytes) -> None:
        """Read the tables.

        Raises:
            CrookedError: if they lead nowhere, or in circles.
        """
        if len(data) < _HEADER_BYTES or not data.startswith(_MAGIC):
            raise CrookedError("it has no header")
        self._data = data
        shift, small_shift = struct.unpack_from("<HH", data, 0x1E)
        if shift not in (9, 12) or small_shift != 6:  # noqa: PLR2004 - the two versions there are
            raise CrookedError("its sectors have a size that there is not")
        self._sector, self._small = 1 << shift, 1 << small_shift
        self._most = len(data) // self._sector  # sectors that there can be
        directory, self._cutoff, small_table = struct.unpack_from("<I4xII", data, 0x30)
        self._table = self._numbers(self._table_sectors())
        self.entries = [one for one in self._entries(self._chain(directory)) if one.kind]
        self._small_table = self._numbers(self._chain(small_table))
        root = next((one for one in self.entries if one.kind == _ROOT), None)
        self._small_data = b"" if root is None else self._joined(self._chain(root.start))

    def stream(self, name: str) -> bytes | None:
        """Return a stream's bytes, None if there is none of that name.

        Raises:
            CrookedError: if it is not whole.
        """
        found = [one for one in self.entries if one.kind == _STREAM and one.name == name]
        if not found:
            return None
        entry = found[0]
        if len(found) > 1 or entry.size > _LARGEST_STREAM:
            raise CrookedError("it has a stream twice, or too large a one")
        if entry.size >= self._cutoff:
            content = self._joined(self._chain(entry.start))
        else:
            most = len(self._small_data) // self._small
            places = _followed(self._small_table, entry.start, most)
            pieces = (self._small_data[n * self._small : (n + 1) * self._small] for n in places)
            content = b"".join(pieces)
        if len(content) < entry.size:
            raise CrookedError("a stream is cut short")
        return content[: entry.size]

    def _table_sectors(self) -> list[int]:
        """Return where the table of sectors lies: as the header says, and sectors after it."""
        places = list(struct.unpack_from(f"<{_IN_HEADER}I", self._data, 0x4C))
        (more,) = struct.unpack_from("<I", self._data, 0x44)
        while more < _NO_SECTOR:
            told = self._numbers([more])
            if not told or len(places) > self._most + _IN_HEADER:
                raise CrookedError("its tables lead nowhere, or in circles")
            places += told[:-1]
            more = told[-1]
        found = [one for one in places if one < _NO_SECTOR]
        if len(found) > self._most:
            raise CrookedError("it tells of more sectors than it has")
        return found

    def _chain(self, start: int) -> list[int]:
        return _followed(self._table, start, self._most)

    def _joined(self, sectors: list[int]) -> bytes:
        starts = ((number + 1) * self._sector for number in sectors)
        return b"".join(self._data[start : start + self._sector] for start in starts)

    def _numbers(self, sectors: list[int]) -> tuple[int, ...]:
        data = self._joined(sectors)
        return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])

    def _entries(self, sectors: list[int]) -> Iterator[_Entry]:
        data = self._joined(sectors)
        for start in range(0, len(data) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            length, kind = struct.unpack_from("<HB", data, start + 0x40)
            name = data[start : start + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            (child,) = struct.unpack_from("<I", data, start + 0x4C)
            first, size = struct.unpack_from("<II", data, start + 0x74)
            yield _Entry(name, kind, child, first, size)


def _followed(table: tuple[int, ...], start: int, most: int) -> list[int]:
    """Return the sectors of a chain in their order, `most` at most."""
    found: list[int] = []
    while start < _NO_SECTOR:
        if start >= len(table) or len(found) >= most:
            raise CrookedError("a chain of sectors leads nowhere, or in circles")
        found.append(start)
        start = table[start]
    return found


@dataclass(frozen=True, slots=True)
class WordFacts:
    """What was found in a document: whether it is Word's at all, closed, acts, or shows other files."""

    is_word: bool
    encrypted: bool
    active: bool
    linked: bool


def look_at_word(data: bytes) -> WordFacts:
    """Return what there is in a compound file.

    Raises:
        CrookedError: if it is not whole.
    """
    file = CompoundFile(data)
    names = {one.name.lower() for one in file.entries}
    pool = any(one.name.lower() == "objectpool" and one.child != _NOTHING for one in file.entries)
    text = file.stream("WordDocument")
    is_word = text is not None and text[:2] == struct.pack("<H", WORD_97)
    if text is None or not is_word:
        return WordFacts(False, bool(names & _CLOSED), bool(names & _ACTIVE), False)
    (flags,) = struct.unpack_from("<H", text.ljust(12, b"\0"), 0x0A)
    return WordFacts(
        True,
        bool(flags & _ENCRYPTED or names & _CLOSED),
        bool(names & _ACTIVE) or pool,
        any(_FIELD.search(one) for one in _readings(text)),
    )


def _readings(text: bytes) -> Iterator[str]:
    """Read bytes as texts of one and of two bytes a letter, from either of the first two."""
    yield text.decode("latin-1")
    yield text.decode("utf-16-le", "replace")
    yield text[1:].decode("utf-16-le", "replace")
