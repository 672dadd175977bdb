"""What the check asks of an S3 service beyond reading and writing.

These probes send bare requests, past the store's own care: the store asks before it writes, so it
would hide a service that overwrites.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from minio.credentials.providers import StaticProvider
from minio.error import S3Error

from docflow.kernel.clock import Clock
from docflow.kernel.errors import ConfigurationError
from docflow.storage.probing import LackingError, Probe, expect, stage
from docflow.storage.s3 import S3Store
from docflow.storage.s3_client import S3Client
from docflow.storage.s3_errors import FAILURES
from docflow.storage.staging import Staging

_T = TypeVar("_T")
_RACERS = 8
_KEPT_SECONDS = 60
_MOST_SKEW_SECONDS = 60


def s3_probes(store: S3Store, staging: Staging, folder: str, clock: Clock) -> list[Probe]:
    """Return the probes of a service, in order; what they store lies below `folder`."""
    probes = _S3Probes(store, staging, folder, clock)
    return [
        Probe("conditional put", needed=False, run=probes.conditional),
        Probe(f"race of {_RACERS} conditional puts", needed=False, run=probes.race),
        Probe("conditional multipart", needed=False, run=probes.conditional_parts),
        Probe("given-up multipart", needed=True, run=probes.given_up),
        Probe("SHA-256 kept", needed=True, run=probes.digest),
        Probe("damaged upload", needed=False, run=probes.damaged),
        Probe("wrong secret key", needed=True, run=probes.wrong_secret),
        Probe("clock", needed=True, run=probes.clock),
        Probe("lock", needed=True, run=probes.lock),
        Probe("default retention", needed=False, run=probes.default_retention),
        Probe("encryption", needed=True, run=probes.encryption),
    ]


class _S3Probes:
    def __init__(self, store: S3Store, staging: Staging, folder: str, clock: Clock) -> None:
        self._clock = clock
        self._store = store
        self._client = store.client
        self._staging = staging
        self._folder = folder

    def conditional(self) -> str:
        """A second create is refused and changes nothing."""
        key = f"{self._folder}/conditional"
        self._try(lambda: self._client.create(key, b"first", {}))
        again = self._try(lambda: self._client.create(key, b"second", {}))
        with self._store.open(key) as file:
            expect(
                file.read() == b"first",
                "It overwrites an object that must not be there (If-None-Match is not honoured). "
                "docflow asks before it writes and derives keys from content, so no file is lost, "
                "but nothing else may write to the bucket.",
            )
        expect(not again, "It says that it overwrote an object; it did not (If-None-Match).")
        return "an object that is there is not overwritten"

    def race(self) -> str:
        """Of several creates at once, one wins, and its bytes stay."""
        key = f"{self._folder}/race"
        bodies = [b"racer %d" % number for number in range(_RACERS)]

        def enter(body: bytes) -> bool:
            return self._try(lambda: self._client.create(key, body, {}))

        with ThreadPoolExecutor(_RACERS) as threads:
            won = [
                body for body, made in zip(bodies, threads.map(enter, bodies), strict=True) if made
            ]
        expect(
            len(won) == 1,
            f"{len(won)} of {_RACERS} writers at once were told that they made the object. "
            "docflow's keys are derived from content, so the bytes are the same, but nothing else "
            "may write to the bucket.",
        )
        with self._store.open(key) as file:
            expect(file.read() == won[0], "The winner's bytes are not those that stayed.")
        return "one wins, and its bytes stay"

    def conditional_parts(self) -> str:
        """The end of a multipart upload is refused if the object is there."""
        key = f"{self._folder}/conditional"
        upload = self._try(lambda: self._client.begin(key, {}))
        etag = self._try(lambda: self._client.part(key, upload, 1, b"other"))
        made = self._try(lambda: self._client.complete(key, upload, [etag]))
        if not made:
            with suppress(*FAILURES):
                self._client.abort(key, upload)
        expect(not made, "A multipart upload overwrites an object that is there.")
        return "an object that is there is not overwritten"

    def given_up(self) -> str:
        """An upload that was given up leaves nothing to be seen."""
        key = f"{self._folder}/given-up"
        upload = self._try(lambda: self._client.begin(key, {}))
        self._try(lambda: self._client.part(key, upload, 1, b"part"))
        expect(self._store.size(key) is None, "An unfinished upload can be seen.")
        self._try(lambda: self._client.abort(key, upload))
        expect(self._store.size(key) is None, "An upload that was given up can be seen.")
        return "an upload that failed leaves nothing to be seen"

    def digest(self) -> str:
        """Metadata come back."""
        key = f"{self._folder}/digest"
        staged = stage(self._staging, b"digest")
        wanted = staged.sha256
        self._store.put(key, staged)
        head = self._try(lambda: self._client.head(key))
        expect(
            head is not None and head.sha256 == wanted,
            "It does not keep an object's metadata, so damage could not be seen.",
        )
        return "the digest of every object is kept with it"

    def damaged(self) -> str:
        """A body that is not the one that was signed for is refused."""
        key = f"{self._folder}/damaged"
        wrong = {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
        try:
            self._client.create(key, b"damaged", wrong)
        except FAILURES:
            expect(self._store.size(key) is None, "A damaged upload is refused, but is there.")
            return "a body that was damaged on the way is refused"
        raise LackingError("It takes a body whose checksum is wrong; only TLS guards uploads.")

    def wrong_secret(self) -> str:
        """Signatures are checked."""
        known = self._store.options.credentials.retrieve()
        secret = "x" * max(len(known.secret_key), 8)
        forged = StaticProvider(known.access_key, secret, known.session_token)
        stranger = S3Client(self._store.options.with_credentials(forged))
        try:
            stranger.create(f"{self._folder}/stranger", b"stranger", {})
        except S3Error:
            return "requests with a wrong key are refused"
        raise LackingError("It takes requests that are signed with a wrong key: anyone may write.")

    def clock(self) -> str:
        """This machine and the service agree on the time."""
        skew = self._try(self._client.skew)
        expect(skew is not None, "It does not tell its time.")
        seconds = abs(skew or 0)
        expect(
            seconds <= _MOST_SKEW_SECONDS,
            f"The clocks differ by {seconds:.0f} seconds; at 15 minutes requests are refused. "
            "Set both by a time server.",
        )
        return f"the clocks differ by {seconds:.0f} s" if seconds >= 1 else "the clocks agree"

    def lock(self) -> str | None:
        """What is locked cannot be deleted, nor its time shortened."""
        if self._store.options.lock == "off":
            return None
        key = f"{self._folder}/locked"
        until = self._clock.now() + timedelta(seconds=_KEPT_SECONDS)
        self._store.put(key, stage(self._staging, b"locked"), retain_until=until)
        head = self._try(lambda: self._client.head(key))
        expect(
            head is not None and head.retain_until is not None and head.retain_until >= until,
            "It takes a retention and does not keep it.",
        )
        version = head.version if head else None
        expect(version is not None, "It locks without versions, which no lock can rest on.")
        for what, action in (
            ("deleted", lambda: self._client.remove(key, version)),
            ("shortened", lambda: self._client.retain(key, until - timedelta(seconds=30))),
        ):
            expect(self._refuses(action), f"The retention of a locked object can be {what}.")
        self._store.put(
            key, stage(self._staging, b"locked"), retain_until=until + timedelta(seconds=1)
        )
        return f"a locked object stays ({self._store.options.lock} mode)"

    def default_retention(self) -> str | None:
        """The bucket locks nothing by itself: published objects are replaced every second."""
        if self._store.options.lock == "off":
            return None
        found = self._try(self._client.default_retention)
        expect(
            not found,
            f"The bucket locks every object for {found}; also the history's tiles, of which "
            "docflow then keeps every version. Take the default retention away: docflow sets "
            "the time of each file itself.",
        )
        return "the bucket locks only what docflow asks it to"

    def encryption(self) -> str | None:
        """What is asked to be encrypted is."""
        wanted = self._store.options.sealing_headers()
        if not wanted:
            return None
        head = self._try(lambda: self._client.head(f"{self._folder}/small"))
        found = head.encrypted if head else None
        expect(
            found == wanted["x-amz-server-side-encryption"],
            f"It was asked to encrypt, and says {found or 'nothing'} of it.",
        )
        return f"objects are encrypted by the service ({found})"

    def _try(self, action: Callable[[], _T]) -> _T:
        return self._store.calls.run("checked", action)

    def _refuses(self, action: Callable[[], None]) -> bool:
        try:
            self._try(action)
        except ConfigurationError:
            return True
        return False
