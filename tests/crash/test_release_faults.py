"""The fault table of signing and release: each write × failed before or after it persisted.

A fault is injected at the edge, by real objects that wrap the real store and the real database: the
write either does not happen, or happens and the process "dies" right after. Then the job runs again,
as the engine would run it (finished steps are remembered, the failed one is not), and everything is
verified: one number, one signature of each kind, one delivery per recipient, a whole history.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO

import pytest

from docflow.db import Database, UnitOfWork
from docflow.jobs.model import JobRun
from docflow.kernel.actor import Actor
from docflow.kernel.errors import UnavailableError
from docflow.signing.choice import LevelPolicy
from docflow.signing.longterm import LongTerm
from docflow.signing.outside.fetching import Fetcher
from docflow.signing.outside.revocation import RevocationSource
from docflow.signing.strict import validate_release
from docflow.storage import ObjectStore, StagedFile, StoredObject
from tests.office_support import CLERK, HANDLERS, LEADER, Instance


class Crash(BaseException):
    """The process died here; nothing may catch it and go on."""


@dataclasses.dataclass
class Fault:
    """Fails the n-th write (or request) of a kind, once, before or after it persisted (was answered)."""

    where: str  # "store", "commit" or "request"
    nth: int
    persisted: bool
    error: type[BaseException]
    seen: int = 0
    fired: bool = False

    def before(self, where: str) -> None:
        if where == self.where:
            self.seen += 1
            if self.seen == self.nth and not self.persisted:
                self._fire()

    def after(self, where: str) -> None:
        if where == self.where and self.seen == self.nth and self.persisted and not self.fired:
            self._fire()

    def _fire(self) -> None:
        self.fired = True
        if self.error is Crash:
            raise Crash
        raise self.error("injected")


class FaultyStore:
    """The real store, failing where told."""

    def __init__(self, inner: ObjectStore, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        self._fault.before("store")
        self._inner.put(key, staged, retain_until=retain_until)
        self._fault.after("store")

    def open(self, key: str) -> BinaryIO:
        return self._inner.open(key)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        return self._inner.objects(prefix)

    def size(self, key: str) -> int | None:
        return self._inner.size(key)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def publish(self, key: str, data: bytes) -> None:
        self._inner.publish(key, data)


class FaultyFetcher(Fetcher):
    """The real way to authorities and responders, failing where told."""

    def __init__(self, inner: Fetcher, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def get(self, url: str) -> bytes:
        return self._told(lambda: self._inner.get(url))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        return self._told(lambda: self._inner.post(url, body, headers))

    def _told(self, ask: Callable[[], bytes]) -> bytes:
        self._fault.before("request")
        answer = ask()
        self._fault.after("request")
        return answer


def _faulty_levels(policy: LevelPolicy, fault: Fault) -> LevelPolicy:
    """Return what makes the same levels, cold as after a start, over a faulty wire."""
    before = policy.longterm
    fresh = LongTerm(before._services, before._own_roots)
    fresh._asking = FaultyFetcher(fresh._asking, fault)
    wire = FaultyFetcher(fresh._revocation._fetcher, fault)
    fresh._revocation = RevocationSource(wire, before._services.refresh)
    return dataclasses.replace(policy, longterm=fresh)


class FaultyDatabase(Database):
    """The real database, whose commits fail where told."""

    def __init__(self, url: str, clock: Any, fault: Fault) -> None:
        super().__init__(url, clock)
        self._fault = fault

    @contextmanager
    def unit_of_work(self, actor: Actor) -> Iterator[UnitOfWork]:
        with super().unit_of_work(actor) as uow:
            yield uow
            self._fault.before("commit")
        self._fault.after("commit")


def _faulty(instance: Instance, fault: Fault) -> Any:
    studio = instance.services.studio
    database = FaultyDatabase(instance.database.url, instance.services.clock, fault)
    store = FaultyStore(studio.desk.store, fault)
    vault = studio.desk.vault.over(store)
    database.seal_details("document", vault.seal_details)
    levels = _faulty_levels(studio.desk.levels, fault)
    desk = dataclasses.replace(
        studio.desk, database=database, store=store, vault=vault, levels=levels
    )
    return dataclasses.replace(studio, desk=desk)


def _run(instance: Instance, studio: Any, job_id: str, done: dict[str, Any]) -> None:
    def step(name: str, function: Any) -> Any:
        if name not in done:
            done[name] = function()
        return done[name]

    job = instance.job(job_id)
    HANDLERS[job.kind](studio, JobRun(job, step))


def _run_through_fault(instance: Instance, job_id: str, fault: Fault) -> bool:
    """Run the job with the fault, then again without; tell whether the fault was reached."""
    done: dict[str, Any] = {}
    studio = _faulty(instance, fault)
    try:
        _run(instance, studio, job_id, done)
    except (Crash, UnavailableError):
        pass
    finally:
        studio.desk.database.dispose()
    _run(instance, instance.services.studio, job_id, done)
    _run(instance, instance.services.studio, job_id, {})  # a job that is run twice does no more
    return fault.fired


def _verify(instance: Instance, document: str) -> None:
    row = instance.row(document)
    assert (row["state"], row["pending"], row["stage"]) == ("released", None, None)
    assert [e["number"] for e in instance.rows("register_entries", document_id=document)] == [1]
    files = instance.rows("files", document_id=document)
    assert sorted((f["form"], f["current"]) for f in files) == [
        ("original", True), ("released", True), ("signed", True),
    ]  # fmt: skip
    (delivery,) = instance.rows("deliveries", document_id=document)
    released = next(f for f in files if f["form"] == "released")
    assert delivery["signed_sha256"] == released["sha256"]
    copy = instance.folder / "verify.pdf"
    with instance.services.store.open(released["storage_key"]) as stored:
        copy.write_bytes(stored.read())
    now = instance.services.clock.now()
    signers = instance.services.studio.signers
    validate_release(
        copy,
        signers.own_roots,
        person=signers.person(LEADER, "", now).sha256,
        seal=signers.seal(now).sha256,
        now=now,
    )
    copy.unlink()
    entries = instance.rows("history_entries", subject_id=document)
    actions = instance.actions(document)
    assert actions == [
        "document.posted", "document.fired", "document.fired",
        "document.signing-requested", "document.staged", "document.signed", "document.fired",
        "document.signing-requested", "document.staged", "document.sealed",
        "document.validated", "document.fired",
    ]  # fmt: skip
    assert [entry["subject_seq"] for entry in entries] == list(range(1, 13))
    assert row["history_seq"] == 12


_STEPS = [("store", n) for n in (1, 2)] + [("commit", n) for n in (1, 2, 3, 4)]
_FAULTS = [
    pytest.param(where, nth, persisted, error, id=f"{where}{nth}-{'after' if persisted else 'before'}-"
                 f"{'crash' if error is Crash else 'error'}")
    for where, nth in _STEPS
    for persisted in (False, True)
    for error in (Crash, UnavailableError)
]  # fmt: skip


@pytest.mark.parametrize(("where", "nth", "persisted", "error"), _FAULTS)
@pytest.mark.parametrize("kind", ["sign", "release"])
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    instance: Instance, kind: str, where: str, nth: int, persisted: bool, error: type[BaseException]
) -> None:
    document = instance.to_approved(instance.draft())
    fault = Fault(where, nth, persisted, error)
    signing = instance.fire(LEADER, document, "sign")
    assert signing.job_id is not None
    reached = False
    if kind == "sign":
        reached = _run_through_fault(instance, signing.job_id, fault)
    else:
        instance.run(signing)
    release = instance.fire(CLERK, document, "release")
    assert release.job_id is not None
    if kind == "release":
        reached = _run_through_fault(instance, release.job_id, fault)
    else:
        instance.run(release)
    # sign writes two objects and commits three times; release one object and four commits
    last = {"sign": {"store": 2, "commit": 3}, "release": {"store": 1, "commit": 4}}[kind][where]
    assert reached == (nth <= last)
    _verify(instance, document)


def test_a_release_that_fails_for_good_can_be_withdrawn_or_retried(instance: Instance) -> None:
    from docflow.release import failures

    document = instance.to_signed(instance.draft())
    release = instance.fire(CLERK, document, "release")
    assert release.job_id is not None
    job = JobRun(instance.job(release.job_id), lambda _name, function: function())
    failures.on_failed(instance.services.desk, job, "Der Siegelschlüssel fehlt.")
    failures.on_failed(instance.services.desk, job, "told twice")
    row = instance.row(document)
    assert (row["state"], row["stage"]) == ("signed", "failed")
    assert row["pending"]["error"] == "Der Siegelschlüssel fehlt."
    instance.fire(LEADER, document, "withdraw", reason="Không phát hành nữa.")
    assert instance.row(document)["pending"] is None
    assert instance.rows("deliveries", document_id=document) == []


def test_a_tampered_file_is_never_sealed_nor_delivered(instance: Instance) -> None:
    from docflow.kernel.errors import DocflowError

    document = instance.to_signed(instance.draft())
    signed = next(f for f in instance.rows("files", document_id=document) if f["form"] == "signed")
    path = instance.folder / "store" / signed["storage_key"]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    release = instance.fire(CLERK, document, "release")
    with pytest.raises(DocflowError):
        instance.run(release)
    assert instance.rows("deliveries", document_id=document) == []
    assert instance.row(document)["state"] == "signed"
