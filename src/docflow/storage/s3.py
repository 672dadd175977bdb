"""The S3 store: write-once objects in a bucket of any S3-compatible service.

Objects are created on condition that they are not there (`If-None-Match: *`), after asking whether
they are: so a service that does not honour the condition is still never asked to overwrite, except by
two at once, whose bytes are equal. `check` tells whether it does. An object becomes visible whole or
not at all: a large one is sent in parts and completed at the end, or given up.
"""

import contextlib
import hashlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO, cast

from docflow.kernel.errors import ConfigurationError, DocflowError, NotFoundError, UnavailableError
from docflow.storage.s3_client import Attempts, Head, S3Client
from docflow.storage.s3_errors import FAILURES, damaged
from docflow.storage.s3_options import MAX_PARTS, S3Options
from docflow.storage.s3_reader import S3Reader, open_object
from docflow.storage.staging import StagedFile
from docflow.storage.store import StoredObject, check_key, digest_of_key, retained

_STORED = "stored"


class S3Store:
    """An `ObjectStore` in a bucket."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self.client = S3Client(options)
        self.calls = Attempts(options)

    def once(self) -> "S3Store":
        """Return the same store, which tries each request once."""
        return S3Store(replace(self.options, attempts=1))

    def require(self) -> None:
        """See that the bucket is there and may be listed.

        Raises:
            ConfigurationError: naming what is wrong: keys, bucket, region, clock, certificate.
            UnavailableError: if the service does not answer.
        """
        self.calls.run("reached", self.client.reach)

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        """See `ObjectStore.put`."""
        lock = None if self.options.lock == "off" else retain_until
        there = self.calls.run(_STORED, lambda: self.client.head(check_key(key)))
        if there is None and not self._create(key, staged, lock):
            there = self.calls.run(_STORED, lambda: self.client.head(key))
            if there is None:
                raise UnavailableError(
                    "The object was deleted while it was stored; try again.",
                    code="storage-unavailable",
                )
        if there is not None:
            _same(there, staged)
            self._lengthen(key, there, lock)
        staged.discard()

    def open(self, key: str) -> BinaryIO:
        """See `ObjectStore.open`."""
        check_key(key)
        opened = open_object(self.client, self.options, self.calls, key)
        kept = opened.head.sha256
        named = digest_of_key(key)
        if kept is not None and named is not None and kept != named:
            raise damaged("The stored object is damaged: its SHA-256 is not that of its key.")
        reader = S3Reader(self.client, self.options, self.calls, key, opened, named or kept)
        return cast(BinaryIO, reader)

    def size(self, key: str) -> int | None:
        """See `ObjectStore.size`."""
        check_key(key)
        head = self.calls.run("looked for", lambda: self.client.head(key, sure=True))
        return None if head is None else head.size

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`; where the bucket keeps versions, all of them are deleted."""
        check_key(key)
        head = self.calls.run("deleted", lambda: self.client.head(key, sure=True))
        if head is None:
            return
        try:
            if head.version is None:
                self.calls.run("deleted", lambda: self.client.remove(key))
            else:
                self._remove_versions(key, keep=None)
        except ConfigurationError as error:
            # the service knows what time it is; it refuses a version under retention as it refuses
            # one that the keys have no right to
            if head.retain_until is None:
                raise
            raise retained(head.retain_until) from error

    def publish(self, key: str, data: bytes) -> None:
        """See `ObjectStore.publish`; where the bucket keeps versions, earlier ones are deleted."""
        check_key(key)
        headers = self._headers(hashlib.sha256(data).hexdigest(), None)
        version = self.calls.run("written", lambda: self.client.replace(key, data, headers))
        if version is not None:
            # what cannot be deleted now is by the next publishing; `check` tells of missing rights
            with contextlib.suppress(DocflowError):
                self._remove_versions(key, keep=version)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        token: str | None = None
        while True:
            found, token = self.calls.run("listed", partial(self.client.page, prefix, token))
            yield from found
            if token is None:
                return

    def end_uploads(self, prefix: str, begun_before: datetime) -> int:
        """Give up multipart uploads that began before an instant; return how many.

        Looks at one page of them (1000): what was given up is not on the next.
        """
        listed = self.calls.run("listed", lambda: self.client.uploads(prefix))
        old = [(key, upload) for key, upload, begun in listed if begun < begun_before]
        for key, upload in old:
            self.calls.run("given up", partial(self.client.abort, key, upload))
        return len(old)

    def lock(self, key: str, until: datetime) -> None:
        """Give an object a retention, or lengthen it; a longer one that it has already stays.

        Raises:
            NotFoundError: if there is no such object (code `object-missing`).
            ConfigurationError: if the bucket takes no retention (code `storage-lock-missing`).
        """
        there = self.calls.run("looked for", lambda: self.client.head(check_key(key), sure=True))
        if there is None:
            raise NotFoundError(
                "The stored object is missing; tell the operator.", code="object-missing"
            )
        self._lengthen(key, there, until)

    def _headers(self, sha256: str, lock: datetime | None) -> dict[str, str]:
        headers = {"x-amz-meta-sha256": sha256, **self.options.sealing_headers()}
        if lock is not None:
            whole = lock.astimezone(UTC) + timedelta(
                seconds=1
            )  # S3 keeps whole seconds: never less
            headers["x-amz-object-lock-mode"] = self.options.lock.upper()
            headers["x-amz-object-lock-retain-until-date"] = f"{whole:%Y-%m-%dT%H:%M:%SZ}"
        return headers

    def _create(self, key: str, staged: StagedFile, lock: datetime | None) -> bool:
        """Send the staged file; tell whether this made the object."""
        headers = self._headers(staged.sha256, lock)
        part_bytes = max(self.options.part_bytes, -(-staged.size // MAX_PARTS))
        parts = _parts(staged, part_bytes)
        with contextlib.closing(parts), _locking(self.options.bucket, lock):
            if staged.size > part_bytes:
                return self._create_in_parts(key, parts, headers)
            data = next(parts)
            return self.calls.run(_STORED, lambda: self.client.create(key, data, headers))

    def _create_in_parts(self, key: str, parts: Iterator[bytes], headers: dict[str, str]) -> bool:
        upload = self.calls.run(_STORED, lambda: self.client.begin(key, headers))
        made = False
        try:
            etags: list[str] = []
            for number, data in enumerate(parts, 1):
                send = partial(self.client.part, key, upload, number, data)
                etags.append(self.calls.run(_STORED, send))
            made = self.calls.run(_STORED, lambda: self.client.complete(key, upload, etags))
        finally:
            if not made:
                # one try: what stays is invisible, and the bucket's own rule sweeps it
                with contextlib.suppress(*FAILURES):
                    self.client.abort(key, upload)
        return made

    def _lengthen(self, key: str, there: Head, lock: datetime | None) -> None:
        """Give an object that was there already the retention that is asked for now."""
        if lock is None or (there.retain_until is not None and there.retain_until >= lock):
            return
        with _locking(self.options.bucket, lock):
            until = lock + timedelta(seconds=1)
            self.calls.run("kept for its retention", lambda: self.client.retain(key, until))

    def _remove_versions(self, key: str, keep: str | None) -> None:
        """Delete the versions of an object: all, or those that are older than `keep`."""
        versions = self.calls.run("deleted", lambda: self.client.versions(key))
        if keep is not None:
            # a newer one is another writer's
            versions = versions[versions.index(keep) + 1 :] if keep in versions else []
        for version in versions:
            self.calls.run("deleted", partial(self.client.remove, key, version))


def _parts(staged: StagedFile, part_bytes: int) -> Generator[bytes, None, None]:
    """Read a staged file in parts, at least one.

    Raises:
        IntegrityError: before the last part, if the file is not the one that was hashed.
    """
    digest = hashlib.sha256()
    left = staged.size
    try:
        with staged.path.open("rb") as file:
            while True:
                data = file.read(min(part_bytes, left))
                left -= len(data)
                digest.update(data)
                if not data or not left:
                    if left or file.read(1) or digest.hexdigest() != staged.sha256:
                        raise damaged(
                            "The received file changed on this machine before it was stored."
                        )
                    yield data
                    return
                yield data
    except OSError as error:
        raise UnavailableError(
            f"The received file cannot be read: {error.strerror or 'the disk does not answer'}. "
            "Nothing was stored; try again later.",
            code="storage-unavailable",
        ) from error


def _same(there: Head, staged: StagedFile) -> None:
    """See that what lies under the key is what was to be put there.

    Raises:
        IntegrityError: if not; it is left as it is.
    """
    if there.size != staged.size or there.sha256 not in {None, staged.sha256}:
        raise damaged("Other bytes lie where the object belongs; they were left as they are.")


@contextlib.contextmanager
def _locking(bucket: str, lock: datetime | None) -> Iterator[None]:
    """Say what is wrong if a bucket does not take a retention."""
    try:
        yield
    except ConfigurationError as error:
        if lock is None or error.code != "storage-refused":
            raise
        raise ConfigurationError(
            f"The bucket {bucket!r} does not take a retention; make it with Object Lock, "
            "or turn locking off in the settings.",
            code="storage-lock-missing",
        ) from error
