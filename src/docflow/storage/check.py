"""Proves, before an office relies on it, that a store does what docflow needs.

A service says little about what it honours: some answer every conditional create with success, some
take a retention and forget it. So each promise is put to the test with small objects below `check/`,
which are deleted afterwards. A finding says what is wrong and what it means for docflow.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from docflow.kernel.clock import Clock, SystemClock
from docflow.kernel.errors import ConflictError, DocflowError, NotFoundError
from docflow.kernel.ids import new_id
from docflow.storage.check_s3 import s3_probes
from docflow.storage.probing import LackingError, Probe, expect, stage
from docflow.storage.s3 import S3Store
from docflow.storage.staging import Staging
from docflow.storage.store import ObjectStore

FOLDER = "check"

State = Literal["works", "lacks", "failed", "not used"]

_SMALL = 100_000
_LARGE = 2**20 + 12_345  # beyond what a store sends at once: this, and two parts where it has parts


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe showed.

    Args:
        name: what was tried.
        needed: whether docflow cannot do without it.
        state: `works`; `lacks` what was promised; `failed` before that could be seen; `not used`.
        detail: what was seen, and what it means.
    """

    name: str
    needed: bool
    state: State
    detail: str

    @property
    def stops(self) -> bool:
        """Tell whether docflow must not be run on this store."""
        return self.needed and self.state in {"lacks", "failed"}


def check(store: ObjectStore, staging: Staging, clock: Clock | None = None) -> list[Finding]:
    """Try everything docflow asks of a store; return what was found, in the order tried.

    Takes a few seconds and some 50 MB of transfer; leaves nothing but what a retention keeps for a
    minute, which the next check deletes.
    """
    general = _General(store, staging)
    first = _run(Probe("reach", needed=True, run=general.reach))
    if first.stops:
        return [first]
    probes = list(general.probes())
    if isinstance(store, S3Store):
        probes += s3_probes(store, staging, general.folder, clock or SystemClock())
    probes.append(Probe("delete", needed=True, run=general.delete))
    return [first, *map(_run, probes)]


def _run(probe: Probe) -> Finding:
    try:
        detail = probe.run()
    except LackingError as lacking:
        return Finding(probe.name, probe.needed, "lacks", str(lacking))
    except DocflowError as error:
        return Finding(probe.name, probe.needed, "failed", error.detail)
    return Finding(probe.name, probe.needed, "works" if detail else "not used", detail or "")


class _General:
    """What is asked of every store."""

    def __init__(self, store: ObjectStore, staging: Staging) -> None:
        self.folder = f"{FOLDER}/{new_id()}"
        self._store = store
        self._staging = staging
        self._small = os.urandom(_SMALL)

    def reach(self) -> str:
        """The store answers, and knows what it has not."""
        if isinstance(self._store, S3Store):
            self._store.require()
        key = f"{self.folder}/nothing"
        expect(self._store.size(key) is None, "It knows an object that was never stored.")
        with contextlib.suppress(NotFoundError):
            self._store.open(key).close()
            raise LackingError("It opens an object that was never stored.")
        return "it answers, and tells what is missing"

    def probes(self) -> Iterator[Probe]:
        """Yield what comes after the store was reached."""
        yield Probe("put", needed=True, run=self._put)
        yield Probe("range", needed=True, run=self._range)
        yield Probe("put again", needed=True, run=self._again)
        yield Probe("large object", needed=True, run=self._large)
        yield Probe("replace", needed=True, run=self._replace)
        yield Probe("list", needed=True, run=self._list)

    def _put(self) -> str:
        key = f"{self.folder}/small"
        self._store.put(key, stage(self._staging, self._small))
        with self._store.open(key) as file:
            expect(file.read() == self._small, "What was stored is not what is read.")
        expect(self._store.size(key) == _SMALL, "It tells another size than was stored.")
        return "what is stored is read back byte for byte"

    def _range(self) -> str:
        with self._store.open(f"{self.folder}/small") as file:
            for start, size in ((50_000, 1000), (_SMALL - 10, 10), (0, 1)):
                file.seek(start)
                part = file.read(size)
                expect(part == self._small[start:][:size], "A range holds other bytes.")
        return "ranges are read"

    def _again(self) -> str:
        key = f"{self.folder}/small"
        self._store.put(key, stage(self._staging, self._small))
        expect(self._store.size(key) == _SMALL, "Storing it again changed it.")
        return "storing it again leaves it as it is"

    def _large(self) -> str:
        key = f"{self.folder}/large"
        part = self._store.options.part_bytes if isinstance(self._store, S3Store) else 0
        data = os.urandom(2**20) * (2 * part // 2**20) + os.urandom(_LARGE)
        self._store.put(key, stage(self._staging, data))
        with self._store.open(key) as file:
            expect(file.read() == data, "A large object is not read as it was stored.")
            middle = len(data) // 2
            file.seek(middle)
            expect(file.read(1000) == data[middle:][:1000], "A range of it holds other bytes.")
        return f"{len(data) / 2**20:.0f} MiB in parts and back" if part else "stored and read"

    def _replace(self) -> str:
        key = f"{self.folder}/published"
        for text in (b"first", b"second, longer", b"3rd"):
            self._store.publish(key, text)
            with self._store.open(key) as file:
                expect(file.read() == text, "A published object is read as it was before.")
        return "a published object is read as it was written last"

    def _list(self) -> str:
        prefix = f"{self.folder}/"
        keys = sorted(item.key for item in self._store.objects(prefix))
        wanted = [f"{self.folder}/{name}" for name in ("large", "published", "small")]
        expect(keys == wanted, f"It lists {len(keys)} objects where there are {len(wanted)}.")
        return "what is there is listed"

    def delete(self) -> str:
        """Delete what the probes stored, and what earlier checks left."""
        kept = 0
        for item in list(self._store.objects(f"{FOLDER}/")):
            try:
                self._store.delete(item.key)
            except ConflictError:
                kept += 1
                continue
            expect(self._store.size(item.key) is None, "What was deleted is still there.")
        note = f"; {kept} kept by retention for a minute" if kept else ""
        return f"what is deleted is gone{note}"
