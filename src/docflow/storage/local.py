"""The local folder: fsync, then an atomic link, then fsync of the folder.

A crash before the link leaves a staged file (swept later); after it the object is whole. Objects are
read-only files, so that a slip of the hand needs a second one. A folder counts as there only when
this process has seen its entry made durable: another's may not be yet.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from docflow.kernel.errors import NotFoundError, UnavailableError
from docflow.kernel.ids import new_id
from docflow.storage.staging import StagedFile
from docflow.storage.store import StoredObject, check_key

_PERMISSIONS, _READ_ONLY = 0o777, 0o400


class LocalStore:
    """An `ObjectStore` in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._durable = {root}  # folders; sets take additions from several threads

    def put(
        self,
        key: str,
        staged: StagedFile,
        *,
        retain_until: datetime | None = None,  # noqa: ARG002 - a folder cannot lock
    ) -> None:
        """See `ObjectStore.put`; files are read-only, with a retention or without."""
        target = self._path(key)
        try:
            _seal_file(staged.path)
            self._make_folder(target.parent)
            with contextlib.suppress(FileExistsError):
                os.link(staged.path, target)
            _sync_folder(target.parent)
            staged.discard()
        except OSError as error:
            raise _failed("stored", error) from error

    def open(self, key: str) -> BinaryIO:
        """See `ObjectStore.open`."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(
                "The stored object is missing; tell the operator.", code="object-missing"
            ) from error
        except OSError as error:
            raise _failed("read", error) from error

    def size(self, key: str) -> int | None:
        """See `ObjectStore.size`."""
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self._path(key).unlink(missing_ok=True)

    def publish(self, key: str, data: bytes) -> None:
        """See `ObjectStore.publish`."""
        target = self._path(key)
        partial = target.with_name(f"{target.name}.{new_id()}.part")
        try:
            self._make_folder(target.parent)
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise _failed("written", error) from error

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        yield from _walk(self._root, "", prefix)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _make_folder(self, folder: Path) -> None:
        if folder in self._durable:
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        _sync_folder(folder.parent)
        self._durable.add(folder)


def _walk(folder: Path, base: str, prefix: str) -> Iterator[StoredObject]:
    """List the objects below a folder whose keys begin with `base`, folder by folder."""
    try:
        with os.scandir(folder) as found:
            entries = [(f"{base}{item.name}{'/' * item.is_dir()}", item) for item in found]
    except FileNotFoundError:
        return
    for key, item in sorted(entries, key=lambda entry: entry[0]):
        if key.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
            yield from _walk(folder / item.name, key, prefix)
        elif key.startswith(prefix) and not key.endswith(("/", ".part")):
            with contextlib.suppress(FileNotFoundError):
                state = item.stat()
                stored_at = datetime.fromtimestamp(state.st_mtime, UTC)
                yield StoredObject(key, state.st_size, stored_at)


def _seal_file(path: Path) -> None:
    """Make a file read-only, and its bytes and that durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if os.fstat(descriptor).st_mode & _PERMISSIONS != _READ_ONLY:
            os.fchmod(descriptor, _READ_ONLY)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(what: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The object cannot be {what}: {error.strerror or 'the disk does not answer'}. "
        "Try again later.",
        code="storage-unavailable",
    )
