"""A ZIP that a stranger made, as a fixed set of named files of bounded size.

Rules:
- Nothing is ever written to a disk; names are names, and never paths.
- What two readers may unpack to two different things is refused: names twice, also of a file and a
  folder, names that point elsewhere, and whatever `layout` names.
- Entries that are links or devices, and folders that hold something, are refused.
- The sizes that the directory declares are bounded in sum, and no more is ever unpacked than declared.

Source: APPNOTE 6.3 (ZIP), ETSI EN 319 162-1 (ASiC).
"""

import hashlib
import stat
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

from docflow.signing.verifying.layout import check_directory, check_files

MAX_FILES = 1_000
MAX_UNPACKED_BYTES = 512 << 20
MAX_NAME = 1_000
_ENCRYPTED = 0x1
_CHUNK = 1 << 18
_EMPTY_DEFLATED = 2  # bytes that nothing is packed to
_KINDS = {0, stat.S_IFREG, stat.S_IFDIR}  # 0: packed where files have no kinds
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class Container:
    """The files of one ZIP.

    Raises:
        ValueError: if the ZIP is broken, ambiguous or too large.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise ValueError(f"the ZIP cannot be read: {error}") from error
        entries = self._zip.infolist()
        if len(entries) > MAX_FILES:
            raise ValueError(
                f"the ZIP holds {len(entries)} files, and at most {MAX_FILES} are read"
            )
        check_directory(file, self._zip)
        total = 0
        self._digests: dict[tuple[str, str], bytes] = {}
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            _check(entry)
            total += entry.file_size
            if entry.filename in self._entries:
                raise ValueError(f"the ZIP holds {entry.filename!r} twice")
            self._entries[entry.filename] = entry
        if total > MAX_UNPACKED_BYTES:
            raise ValueError(
                f"the ZIP unpacks to {total} bytes, and at most {MAX_UNPACKED_BYTES} are read"
            )
        _check_folders(self._entries)
        check_files(file, self._zip)

    @property
    def names(self) -> list[str]:
        """The names of the files, without folders, in the order of the directory."""
        return [name for name in self._entries if not name.endswith("/")]

    def first_is_stored(self, name: str) -> bool:
        """Tell whether the file `name` comes first, unpacked, as a container's `mimetype` must."""
        entry = self._entries.get(name)
        return (
            entry is not None
            and entry.header_offset == 0
            and entry.compress_type == zipfile.ZIP_STORED
        )

    def read(self, name: str, limit: int) -> bytes:
        """Return a file of at most `limit` bytes.

        Raises:
            ValueError: if there is none, or it is larger or broken.
        """
        entry = self._entry(name)
        if entry.file_size > limit:
            raise ValueError(f"{name!r} has {entry.file_size} bytes, and at most {limit} are read")
        try:
            return self._zip.read(entry)
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
            raise ValueError(f"{name!r} cannot be unpacked: {error}") from error
        except Exception as error:
            raise ValueError(f"{name!r} cannot be unpacked") from error

    def digest(self, name: str, algorithm: str) -> bytes:
        """Return the digest of a file, read piece by piece, and once however many signatures ask.

        Raises:
            ValueError: if there is none, it is broken, or the algorithm is not known.
        """
        if (name, algorithm) in self._digests:
            return self._digests[name, algorithm]
        hashing = hashlib.new(algorithm)
        try:
            with self._zip.open(self._entry(name)) as opened:
                while chunk := opened.read(_CHUNK):
                    hashing.update(chunk)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{name!r} cannot be unpacked: {error}") from error
        self._digests[name, algorithm] = hashing.digest()
        return self._digests[name, algorithm]

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise ValueError(f"the ZIP does not hold {name!r}")
        return self._entries[name]


def _check(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    parts = name.rstrip("/").split("/")
    if (
        not name
        or len(name) > MAX_NAME
        or name.startswith("/")
        or "\\" in entry.orig_filename
        or "\0" in entry.orig_filename
        or ":" in parts[0]
        or any(part in {"", ".", ".."} for part in parts)
    ):
        raise ValueError(f"the ZIP holds the name {name[:100]!r}, which points elsewhere")
    if entry.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name!r} is encrypted")
    if stat.S_IFMT(entry.external_attr >> 16) not in _KINDS:
        raise ValueError(f"{name!r} is a link or a device, and not a file")
    if entry.compress_type not in _METHODS:
        raise ValueError(f"{name!r} is packed by a method that is not read here")


def _check_folders(entries: Mapping[str, zipfile.ZipInfo]) -> None:
    """Refuse folders that hold bytes of their own, and names of files that are folders too."""
    for name, entry in entries.items():
        if name.endswith("/") and (entry.file_size or entry.compress_size > _EMPTY_DEFLATED):
            raise ValueError(f"the folder {name[:100]!r} holds bytes of its own")
        parts = name.rstrip("/").split("/")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if name.endswith("/"):
            above.add(name.rstrip("/"))
        twice = sorted(above & entries.keys())
        if twice:
            raise ValueError(f"the ZIP holds {twice[0][:100]!r} as a file and as a folder")
