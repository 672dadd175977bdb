"""What sealing costs the processor, beside `openssl speed` and hashlib of the same run.

Both sides are measured in processor time of one thread, as `openssl speed` does, so that other work on
the machine disturbs little.
"""

import hashlib
import io
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import openssl
from bench.client import WrongResultError
from bench.content import CHUNK_BYTES, noise
from bench.figures import Figure, compared, taking_turns
from docflow.storage import Staging, StagingFile
from docflow.storage.sealing import Keyring, SealContext, SealedReader, SealedStaging
from docflow.storage.sealing.format import SealingStream
from docflow.storage.sealing.providers import LocalKeys

MEGA = 1e6
_CONTEXT = b"bench"
_STAGED_BYTES = 64 * 2**20


def keyring(folder: Path) -> Keyring:
    """Return a key provider of the development kind: how keys are kept is no part of a figure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Keyring(LocalKeys(folder))


def place() -> SealContext:
    """Return a place of its own, as every file has one."""
    return SealContext("BENCH", secrets.token_hex(8), secrets.token_hex(8), "confidential")


def sealing(folder: Path, repeats: int, seconds: float) -> Iterator[Figure]:
    """Seal buffers, hash and seal in one pass, and stage files sealed in `folder`."""
    for label, size in (("64 KiB", 2**16), ("1 MiB", 2**20)):
        data = secrets.token_bytes(size)
        _check(data)
        pairs = taking_turns(
            repeats,
            partial(_seal_rate, data, seconds),
            partial(_openssl_rate, size),
        )
        yield compared(
            f"seal, pieces of {label}",
            "memory",
            pairs,
            "MB/s",
            at_least=0.5,
            note="baseline: openssl speed -evp aes-256-gcm, pieces of the same size",
        )
    block = secrets.token_bytes(CHUNK_BYTES)
    pairs = taking_turns(
        repeats,
        lambda _: _rate(block, seconds, hashlib.sha256().update, _sealer()),
        lambda _: _rate(block, seconds, hashlib.sha256().update),
    )
    yield compared(
        "hash and seal in one pass",
        "memory",
        pairs,
        "MB/s",
        at_least=0.75,
        note="baseline: hashlib SHA-256 alone, pieces of 256 KiB",
    )
    yield _staging(folder, repeats)


def _seal_rate(data: bytes, seconds: float, _number: int) -> float:
    return _rate(data, seconds, _sealer())


def _openssl_rate(size: int, _number: int) -> float:
    return openssl.speed(size) / MEGA


def _sealer() -> Callable[[bytes], object]:
    return SealingStream(secrets.token_bytes(32), _CONTEXT).update


def _rate(data: bytes, seconds: float, *steps: Callable[[bytes], object]) -> float:
    """Return how many MB a second of processor time takes through all steps."""
    for step in steps:
        step(data)
    batch = max(1, 2**22 // len(data))  # looking at the clock costs next to nothing so
    done = 0
    started = time.thread_time()
    while (used := time.thread_time() - started) < seconds:
        for _ in range(batch):
            for step in steps:
                step(data)
        done += batch
    return done * len(data) / used / MEGA


def _check(data: bytes) -> None:
    """Refuse the run if what is sealed in these pieces does not open to the same."""
    key = secrets.token_bytes(32)
    stream = SealingStream(key, _CONTEXT)
    sealed = b"".join([bytes(stream.update(data)) for _ in range(3)]) + stream.finish()
    if SealedReader(io.BytesIO(sealed), key, _CONTEXT).read() != data * 3:
        raise WrongResultError("what was sealed does not open to what it was")


def _staging(folder: Path, repeats: int) -> Figure:
    plain = Staging(folder / "staging", 2**40)
    sealed = SealedStaging(plain, keyring(folder / "keys"))

    def receive(begin: Callable[[], StagingFile]) -> float:
        content = noise(_STAGED_BYTES)
        started = time.thread_time()
        receiving = begin()
        for chunk in content.chunks():
            receiving.write(chunk)
        staged = receiving.finish()
        used = time.thread_time() - started
        digest = hashlib.sha256()
        for chunk in content.chunks():
            digest.update(chunk)
        staged.discard()
        if (staged.sha256, staged.size) != (digest.hexdigest(), content.size):
            raise WrongResultError("what was staged is not what was sent")
        return content.size / used / MEGA

    pairs = taking_turns(
        repeats, lambda _: receive(lambda: sealed.begin(place())), lambda _: receive(plain.begin)
    )
    return compared(
        "receive into staging, sealed",
        "folder",
        pairs,
        "MB/s",
        note="64 MiB; baseline: received plain; sealed, the ciphertext is hashed too, for its key",
    )
