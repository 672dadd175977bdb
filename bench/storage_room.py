"""Staging and sealed store in a process of their own: what they alone hold in memory."""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from bench.client import WrongResultError
from bench.content import Content, Expected, noise
from bench.instance import Service
from bench.sealing import keyring
from bench.stores import Sealed
from docflow.storage import LocalStore, ObjectStore, Staging
from docflow.storage.s3 import S3Store
from docflow.storage.s3_options import S3Options
from docflow.storage.sealing import SealedRef


@dataclass(frozen=True, slots=True)
class Carried:
    """MiB held before, and of both directions the peak (MiB) and the time (seconds)."""

    idle: float
    up: tuple[float, float]
    down: tuple[float, float]


def carry(folder: Path, bucket: S3Options | None, size: int) -> Carried:
    """Put a sealed file of `size` bytes into a folder, or a bucket, and get it again.

    Raises:
        WrongResultError: if the process fails, or other bytes come back.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_carry, args=(theirs, folder, bucket, size))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        raise WrongResultError("the process with the sealed store failed; see above") from None
    finally:
        process.join()
    assert isinstance(found, Carried)
    return found


def _carry(pipe: Connection, folder: Path, bucket: S3Options | None, size: int) -> None:
    store: ObjectStore = LocalStore(folder / "store") if bucket is None else S3Store(bucket)
    way = Sealed(store, Staging(folder / "staging", 2**40), keyring(folder / "keys"))
    _trip(way, noise(8 * 2**20))
    pipe.send(_trip(way, noise(size)))


def _trip(way: Sealed, content: Content) -> Carried:
    own = Service(os.getpid(), 0)
    kept: list[SealedRef] = []

    def get() -> None:
        expected = Expected(content)
        for data in way.get(kept[0]):
            expected.feed(data)
        expected.end()

    idle = own.memory_mib()
    up = _peak(own, lambda: kept.append(way.put(content)))
    down = _peak(own, get)
    way.delete(kept[0])
    return Carried(idle, up, down)


def _peak(own: Service, action: Callable[[], object]) -> tuple[float, float]:
    own.forget_peak()
    started = time.perf_counter()
    action()
    return own.memory_mib("VmHWM"), time.perf_counter() - started
