"""Files into the stores and out again, sealed and plain, beside the bare store and `openssl speed`.

One thread, one file after the other. What is received goes through staging, as an upload does: hashed,
sealed, then put; what is read is compared with what was sent, on both sides alike.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from bench import openssl
from bench.content import CHUNK_BYTES, Content, Expected, noise
from bench.figures import Figure, compared
from bench.raw_stores import PART_BYTES, RawBucket, RawFolder
from bench.sealing import MEGA, keyring, place
from docflow.storage import LocalStore, ObjectStore, SealedFile, Staging, content_key
from docflow.storage.sealing import Keyring, SealedRef, SealedStaging, SealedStore
from tests.s3_server import S3Server


class Way(Protocol):
    """One way to keep bytes: `put` gives what `get` and `delete` want."""

    name: str

    def put(self, content: Content) -> Any: ...
    def get(self, handle: Any) -> Iterator[bytes]: ...
    def delete(self, handle: Any) -> None: ...


class Plain:
    """As docflow keeps a file that is not classified."""

    name = "plain"

    def __init__(self, store: ObjectStore, staging: Staging) -> None:
        self._store = store
        self._staging = staging

    def put(self, content: Content) -> str:
        receiving = self._staging.begin()
        for chunk in content.chunks():
            receiving.write(chunk)
        staged = receiving.finish()
        key = content_key(staged.sha256)
        self._store.put(key, staged)
        return key

    def get(self, handle: str) -> Iterator[bytes]:
        with self._store.open(handle) as file:
            while data := file.read(CHUNK_BYTES):
                yield data

    def delete(self, handle: str) -> None:
        self._store.delete(handle)


class Sealed:
    """As docflow keeps a confidential file."""

    name = "sealed"

    def __init__(self, store: ObjectStore, staging: Staging, keys: Keyring) -> None:
        self._store = SealedStore(store, keys)
        self._staging = SealedStaging(staging, keys)

    def put(self, content: Content) -> SealedRef:
        receiving = self._staging.begin(place())
        for chunk in content.chunks():
            receiving.write(chunk)
        staged: SealedFile = receiving.finish()
        self._store.put(staged.key, staged)
        return staged.ref

    def get(self, handle: SealedRef) -> Iterator[bytes]:
        with self._store.open_sealed(handle) as file:
            while data := file.read(CHUNK_BYTES):
                yield data

    def delete(self, handle: SealedRef) -> None:
        self._store.delete(handle.key)


@dataclass(frozen=True, slots=True)
class Load:
    """How large, how many one after the other, and how often all of it."""

    label: str
    size: int
    count: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Rate:
    """MB in a second that passed, and in a second of this process's processor time."""

    passed: float
    of_used: float


@dataclass(frozen=True, slots=True)
class Trip:
    """How fast files went in and came out."""

    put: Rate
    get: Rate


def loads(*, quick: bool, repeats: int) -> list[Load]:
    """Return what is put and got."""
    return [
        Load("100 KB", 100_000, 20 if quick else 100, repeats),
        Load("10 MB", 10_000_000, 2 if quick else 6, repeats),
        Load("100 MB", 100_000_000, 1, repeats)
        if quick
        else Load("1 GB", 1_000_000_000, 1, min(3, repeats)),
    ]


def stores(folder: Path, server: S3Server | None, wanted: Sequence[Load]) -> Iterator[Figure]:
    """Put and get on a real S3 service, or on the local folder if there is none."""
    ways = _on_folder(folder) if server is None else _on_bucket(folder, server)
    for load in wanted:
        yield from _compare("folder" if server is None else "S3", ways, load)


def _on_folder(folder: Path) -> list[Way]:
    staging = Staging(folder / "staging", 2**40)  # on the store's own disk, as it must be
    store = LocalStore(folder / "store")
    keys = keyring(folder / "keys")
    return [
        RawFolder(folder / "raw"),
        Plain(store, staging),
        Sealed(store, staging, keys),
    ]


def _on_bucket(folder: Path, server: S3Server) -> list[Way]:
    staging = Staging(folder / "staging", 2**40)
    store = server.store(part_bytes=PART_BYTES, timeout_seconds=120.0)
    return [
        RawBucket(server.admin(), server.bucket()),
        Plain(store, staging),
        Sealed(store, staging, keyring(folder / "keys")),
    ]


def _compare(where: str, ways: list[Way], load: Load) -> Iterator[Figure]:
    """Let the ways take turns; the first is the baseline of the others."""
    trips: dict[str, list[Trip]] = {way.name: [] for way in ways}
    ciphers = []
    _trip(ways[-1], 10_000, 1)  # makes the key, opens connections
    for number in range(load.repeats):
        ciphers.append(openssl.speed(2**16) / MEGA)
        turn = number % len(ways)
        for way in ways[turn:] + ways[:turn]:
            trips[way.name].append(_trip(way, load.size, load.count))
    raw, *others = ways
    for doing in ("put", "get"):
        baseline = [getattr(trip, doing) for trip in trips[raw.name]]
        for way in others:
            ours = [getattr(trip, doing) for trip in trips[way.name]]
            yield _figure(
                f"{doing} {load.label}, {way.name}", where, raw.name, ours, baseline, ciphers
            )


def _figure(
    what: str,
    where: str,
    baseline: str,
    ours: list[Rate],
    theirs: list[Rate],
    ciphers: list[float],
) -> Figure:
    used = [mine.of_used / other.of_used for mine, other in zip(ours, theirs, strict=True)]
    cipher = [mine.passed / rate for mine, rate in zip(ours, ciphers, strict=True)]
    return compared(
        what,
        where,
        [(mine.passed, other.passed) for mine, other in zip(ours, theirs, strict=True)],
        "MB/s",
        note=f"{statistics.median(used):.2f} in processor time; baseline: {baseline}; "
        f"{statistics.median(cipher):.2g} of openssl speed, {statistics.median(ciphers):,.0f} MB/s",
    )


def _trip(way: Way, size: int, count: int) -> Trip:
    """Put files, get them, compare and delete them."""
    contents = [noise(size) for _ in range(count)]
    times = [_now()]
    handles = [way.put(content) for content in contents]
    times.append(_now())
    for content, handle in zip(contents, handles, strict=True):
        expected = Expected(content)
        for data in way.get(handle):
            expected.feed(data)
        expected.end()
    times.append(_now())
    for handle in handles:
        way.delete(handle)
    volume = size * count / MEGA
    put, got = (
        Rate(volume / (after[0] - before[0]), volume / (after[1] - before[1]))
        for before, after in pairwise(times)
    )
    return Trip(put, got)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
