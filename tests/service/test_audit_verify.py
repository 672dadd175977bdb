"""Whoever changes the database past the service is found out, and what they changed is named.

One instance is played through: documents come in and go out, people and units change. Each test gets
a copy of it, changes one thing with the triggers switched off, and verifies.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from docflow.audit.records import CHECKPOINT_KEY
from docflow.audit.report import AuditReport
from docflow.audit.sequencer import Sequencer
from docflow.audit.verify import verify_everything
from docflow.db import Database
from docflow.documents import change
from docflow.documents.intake import for_change
from docflow.kernel.canonical import sha256_hex
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import DocflowError, TooManyAttemptsError, UnauthenticatedError
from docflow.kernel.ids import new_id
from docflow.release import inbox
from docflow.storage import LocalStore
from docflow.transparency.checkpoint import Checkpoint, sign_checkpoint
from docflow.transparency.merkle import leaf_hash
from docflow.transparency.note import SigningKey
from tests.audit_support import outlaw, table, told
from tests.conftest import START
from tests.office_support import (
    CLERK,
    HEAD,
    LEADER,
    RECIPIENT,
    SPECIALIST,
    Instance,
    copy_instance,
)
from tests.servers import PostgresServer


def play(office: Instance) -> None:
    """Do something of everything, and sequence it in three steps with something left over."""
    desk, services = office.services.desk, office.services
    clock = services.clock
    assert isinstance(clock, ManualClock)
    closed = office.incoming(1)
    office.fire(CLERK, closed, "register")
    office.fire(LEADER, closed, "route", unit="VP-TH")
    office.fire(HEAD, closed, "assign", assignee=SPECIALIST)
    office.fire(SPECIALIST, closed, "start")
    office.fire(HEAD, closed, "reassign", assignee=HEAD, reason="bận")
    office.fire(CLERK, office.incoming(2), "register")
    office.fire(CLERK, office.incoming(3), "refuse", reason="sai địa chỉ")
    clock.advance(timedelta(minutes=1))
    services.sequencer.run()

    released = office.draft()
    author = office.actor(SPECIALIST)
    change.edit(desk, author, released, {"subject": "Quy chế làm việc"}, if_version=1)
    annex = office.received(office.decision, "phụ lục.pdf")
    intake = for_change(desk, author, released)
    added, version = change.add_annex(desk, author, intake, annex, if_version=2)
    change.remove_annex(desk, author, released, added["id"], if_version=version)
    office.to_approved(released)
    with suppress(DocflowError):
        office.fire(SPECIALIST, released, "sign")
    office.run(office.fire(LEADER, released, "sign"))
    office.run(office.fire(CLERK, released, "release"))
    actor = office.actor(RECIPIENT)
    (delivery,) = inbox.find(desk, actor, acknowledged=None, before=None, limit=9)
    file = inbox.file_to_download(desk, actor, delivery["id"], None)
    inbox.acknowledge(desk, actor, delivery["id"], sha256=file["sha256"], note="Đã nhận.")
    office.fire(CLERK, released, "archive")
    withdrawn = office.to_approved(office.draft())
    office.fire(LEADER, withdrawn, "withdraw", reason="thay văn bản khác")
    clock.advance(timedelta(minutes=1))
    services.sequencer.run()

    play_people(office)
    clock.advance(timedelta(minutes=1))
    services.sequencer.run()
    office.incoming(4)


def play_people(office: Instance) -> None:
    services, admin = office.services, office.actor("duc.ph")
    person = services.directory.create_person(admin, login="moi.nv", name="Người Mới")
    unit = office.rows("units", code="VP-TH")[0]
    services.directory.grant_office(admin, person.id, unit_id=unit["id"], role="specialist")
    services.directory.grant_office(admin, person.id, unit_id=unit["id"], role="head")
    services.directory.revoke_office(admin, person.id, unit_id=unit["id"], role="head")
    services.directory.rename_person(admin, person.id, "Người Cũ")
    services.directory.change_unit(admin, unit["id"], name="Phòng Tổng hợp mới")
    made = services.keys.create(admin, name="k", person_id=person.id, scopes=["documents:read"])
    services.keys.revoke(admin, made.key.id)
    added = services.recipients.add(
        admin, code="TEST", name="Nơi nhận", kind="organisation", external=True
    )
    services.recipients.change(admin, added.id, active=False)
    account = services.accounts.create(admin, password="mật khẩu dài lắm", person_id=person.id)
    for _ in range(services.settings.login_attempts + 1):
        with suppress(UnauthenticatedError, TooManyAttemptsError):
            services.accounts.login("moi.nv", "sai rồi")
    services.accounts.unlock(admin, account.id)
    services.accounts.set_active(admin, account.id, active=False)
    services.directory.deactivate_person(admin, person.id)


@dataclass
class Played:
    """A copy of the played instance."""

    database: Database
    folder: Path
    key: SigningKey

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.folder / "store")

    def verify(self, **options: Any) -> AuditReport:
        return verify_everything(self.database, self.store, self.key.verifier, **options)

    def one(self, name: str, /, **equal: Any) -> Any:
        """Return the first row, by key, with these values."""
        found = table(name)
        statement = sa.select(found).where(*(found.c[k] == v for k, v in equal.items()))
        with self.database.read() as connection:
            row = connection.execute(statement.order_by(*found.primary_key)).mappings().first()
        assert row is not None
        return row

    def entry(self, action: str) -> Any:
        return self.one("history_entries", action=action)

    def update(self, name: str, where: dict[str, Any], /, **values: Any) -> None:
        found = table(name)
        condition = sa.and_(*(found.c[k] == v for k, v in where.items()))
        with outlaw(self.database) as connection:
            done = connection.execute(sa.update(found).where(condition).values(**values))
            assert done.rowcount >= 1

    def delete(self, name: str, /, **where: Any) -> None:
        found = table(name)
        condition = sa.and_(*(found.c[k] == v for k, v in where.items()))
        with outlaw(self.database) as connection:
            assert connection.execute(sa.delete(found).where(condition)).rowcount >= 1

    def insert(self, name: str, /, **values: Any) -> None:
        with outlaw(self.database) as connection:
            connection.execute(sa.insert(table(name)).values(**values))

    def published(self, key: str) -> Path:
        return self.folder / "store" / "log" / key


@pytest.fixture(scope="session")
def template(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path
) -> Callable[[str | None], Path]:
    """Play an instance once per database; return its folder."""
    made: dict[str | None, Path] = {}

    def make(url: str | None) -> Path:
        if url not in made:
            folder = tmp_path_factory.mktemp("played") / "var"
            copy_instance(prepared, folder)
            office = Instance(
                folder, url or f"sqlite:///{folder / 'docflow.sqlite3'}", ManualClock(START)
            )
            play(office)
            if url is None:
                with office.database.engine.connect() as connection:
                    connection.exec_driver_sql("COMMIT")
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            office.close()
            made[url] = folder
        return made[url]

    return make


@pytest.fixture(scope="session")
def played_postgres(postgres: PostgresServer, prepared_postgres: str) -> str:
    return postgres.create("docflow_played", template=prepared_postgres)


@pytest.fixture(params=["sqlite", "postgresql"])
def played(
    request: pytest.FixtureRequest, tmp_path: Path, template: Callable[[str | None], Path]
) -> Iterator[Played]:
    folder = tmp_path / "var"
    name = "p" + uuid.uuid4().hex
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        assert server is not None
        shutil.copytree(template(request.getfixturevalue("played_postgres")), folder)
        url = server.create(name, template="docflow_played")
    else:
        shutil.copytree(template(None), folder)
        url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    clock = ManualClock(START + timedelta(days=1))
    database = Database(url, clock)
    key = SigningKey.parse((folder / "log.key").read_text())
    yield Played(database, folder, key)
    database.dispose()
    if server is not None:
        server.drop(name)


def test_what_nobody_touched_holds(played: Played) -> None:
    steps: dict[str, tuple[int, int]] = {}

    def progress(what: str, done: int, total: int) -> None:
        steps[what] = (done, total)

    report = played.verify(progress=progress, contents=True)
    assert report.ok, told(report)
    assert report.pending == 1
    assert report.checked["checkpoints"] == 3
    assert report.checked["entries"] == report.checked["leaves"] + 1
    assert report.checked["register entries"] == 4
    assert set(steps) == {"log", "entries", "register", "contents"}
    assert all(done == total for done, total in steps.values())


Tamper = Callable[[Played], str]


def entry_edited(it: Played) -> str:
    entry = it.entry("document.fired")
    leaf = entry["leaf"].replace('"trigger":"register"', '"trigger":"route"')
    assert leaf != entry["leaf"]
    hashed = leaf_hash(leaf.encode()).hex()
    it.update("history_entries", {"id": entry["id"]}, leaf=leaf, leaf_hash=hashed)
    return str(entry["id"])


def entry_edited_under_a_checkpoint(it: Played) -> str:
    entry_edited(it)
    return "the entries give"


def entry_edited_before_another(it: Played) -> str:
    entry = it.entry("document.fired")
    entry_edited(it)
    return f"of document {entry['subject_id']} follows the leaf {entry['leaf_hash']}"


def entry_made_no_leaf(it: Played) -> str:
    entry = it.entry("document.fired")
    it.update("history_entries", {"id": entry["id"]}, leaf=entry["leaf"].replace('"v":1', '"v": 1'))
    return str(entry["id"])


def entry_column_changed(it: Played) -> str:
    entry = it.entry("document.refused")
    it.update("history_entries", {"id": entry["id"]}, actor_id="someone-else")
    return str(entry["id"])


def entry_hash_column_changed(it: Played) -> str:
    entry = it.entry("document.refused")
    it.update("history_entries", {"id": entry["id"]}, leaf_hash="0" * 64)
    return str(entry["id"])


def entry_deleted(it: Played) -> str:
    entry = it.entry("document.refused")
    it.delete("history_entries", id=entry["id"])
    return str(entry["id"])


def entry_deleted_with_its_place(it: Played) -> str:
    entry = it.entry("document.refused")
    place = it.one("log_leaves", entry_id=entry["id"])
    it.delete("log_leaves", entry_id=entry["id"])
    it.delete("history_entries", id=entry["id"])
    return f"no leaf at index {place['index']}"


def waiting_entry_deleted(it: Played) -> str:
    entry = it.one("history_entries", id=it.one("history_pending")["entry_id"])
    it.delete("history_pending", entry_id=entry["id"])
    it.delete("history_entries", id=entry["id"])
    return f"document {entry['subject_id']}"


def entry_forgotten_by_the_queue(it: Played) -> str:
    waiting = it.one("history_pending")
    it.delete("history_pending", entry_id=waiting["entry_id"])
    return str(waiting["entry_id"])


def entries_reordered(it: Played) -> str:
    index = table("log_leaves").c["index"]
    with outlaw(it.database) as connection:
        for old, new in ((10, -1), (11, 10), (-1, 11)):
            connection.execute(
                sa.update(table("log_leaves")).where(index == old).values({"index": new})
            )
    return "at index 10"


def details_changed(it: Played) -> str:
    found = table("history_entries")
    statement = sa.select(found.c.id).where(found.c.details.is_not(None))
    with it.database.read() as connection:
        entry_id = connection.execute(statement.order_by(found.c.id).limit(1)).scalar_one()
    it.update("history_entries", {"id": entry_id}, details={"name": "khác"})
    return str(entry_id)


def details_added(it: Played) -> str:
    entry = it.entry("document.refused")
    it.update("history_entries", {"id": entry["id"]}, details={"x": "y"}, details_key="ab" * 32)
    return str(entry["id"])


def details_key_dropped(it: Played) -> str:
    entry = it.entry("document.posted")
    it.update("history_entries", {"id": entry["id"]}, details_key=None)
    return str(entry["id"])


def checkpoint_replaced_by_another_key(it: Played) -> str:
    last = it.one("log_checkpoints")
    forged = Checkpoint(it.key.verifier.name, last["size"], bytes.fromhex(last["root"]))
    note = sign_checkpoint(forged, [SigningKey(it.key.verifier.name, bytes(32))])
    it.update("log_checkpoints", {"size": last["size"]}, note=note)
    return f"checkpoint {last['size']}"


def checkpoint_of_another_tree(it: Played) -> str:
    """Signed by the log's own key: whoever has it rewrote the head."""
    last = it.one("log_checkpoints")
    note = sign_checkpoint(Checkpoint(it.key.verifier.name, last["size"], bytes(32)), [it.key])
    it.update("log_checkpoints", {"size": last["size"]}, note=note, root="0" * 64)
    return f"checkpoint {last['size']}"


def checkpoint_row_changed(it: Played) -> str:
    last = it.one("log_checkpoints")
    it.update("log_checkpoints", {"size": last["size"]}, root="1" * 64)
    return f"checkpoint {last['size']}"


def last_checkpoint_deleted(it: Played) -> str:
    size = it.one("log_state")["size"]
    it.delete("log_checkpoints", size=size)
    return f"{size} leaves; its last checkpoint"


def checkpoint_dated_back(it: Played) -> str:
    size = it.one("log_state")["size"]
    it.update("log_checkpoints", {"size": size}, created_at=START - timedelta(days=1))
    return f"checkpoint {size}"


def tile_changed(it: Played) -> str:
    tile = it.one("log_tiles", level=0)
    hashes = tile["hashes"][:32] + bytes(32) + tile["hashes"][64:]
    it.update("log_tiles", {"level": 0, "index": 0}, hashes=hashes)
    return "at index 1 "


def tile_cut(it: Played) -> str:
    tile = it.one("log_tiles", level=0)
    it.update("log_tiles", {"level": 0, "index": 0}, hashes=tile["hashes"][:-32])
    return "tile/0/000.p/"


def tile_deleted(it: Played) -> str:
    it.delete("log_tiles", level=0)
    return "is missing"


def tile_added(it: Played) -> str:
    it.insert("log_tiles", level=1, index=0, width=1, hashes=bytes(32))
    return "level 1"


def state_set_back(it: Played) -> str:
    it.update("log_state", {"id": 1}, size=3, published_size=3)
    return "3 leaves"


def published_tile_changed(it: Played) -> str:
    size = it.one("log_state")["size"]
    path = it.published(f"tile/0/000.p/{size}")
    path.write_bytes(bytes(len(path.read_bytes())))
    return f"tile/0/000.p/{size}"


def published_bundle_missing(it: Played) -> str:
    size = it.one("log_state")["size"]
    it.published(f"tile/entries/000.p/{size}").unlink()
    return f"tile/entries/000.p/{size}"


def published_checkpoint_set_back(it: Played) -> str:
    first = it.one("log_checkpoints")
    it.published("checkpoint").write_text(first["note"])
    return f"of size {first['size']}"


def published_checkpoint_unknown(it: Played) -> str:
    """The database was set back to yesterday's copy, or someone else signs with the key."""
    note = sign_checkpoint(Checkpoint(it.key.verifier.name, 9999, bytes(32)), [it.key])
    it.published("checkpoint").write_text(note)
    return "of size 9999"


def published_checkpoint_missing(it: Played) -> str:
    it.published("checkpoint").unlink()
    return "checkpoint is missing"


def document_moved(it: Played) -> str:
    document = it.one("documents", state="registered")
    it.update("documents", {"id": document["id"]}, state="closed")
    return f"document {document['id']} has the state 'closed'"


def document_readdressed(it: Played) -> str:
    document = it.one("documents", state="archived")
    it.update("documents", {"id": document["id"]}, subject="Quy chế khác")
    return f"document {document['id']} has another subject"


def document_renumbered(it: Played) -> str:
    document = it.one("documents", state="archived")
    it.update("documents", {"id": document["id"]}, symbol="99/QĐ-VPUB")
    return f"document {document['id']}"


def document_reassigned(it: Played) -> str:
    document = it.one("documents", state="assigned")
    it.update(
        "documents", {"id": document["id"]}, assignee_id=it.one("people", login=SPECIALIST)["id"]
    )
    return f"document {document['id']} has the assignee_id"


def document_version_changed(it: Played) -> str:
    document = it.one("documents", state="archived")
    it.update("documents", {"id": document["id"]}, version=document["version"] + 1)
    return f"document {document['id']} is at version"


def document_head_changed(it: Played) -> str:
    document = it.one("documents", state="archived")
    it.update("documents", {"id": document["id"]}, history_hash="a" * 64)
    return f"document {document['id']}"


def document_without_history(it: Played) -> str:
    document = dict(it.one("documents", state="archived"))
    document |= {"id": new_id(), "search_id": 1, "verification_code": None}
    it.insert("documents", **document)
    return f"document {document['id']} has a row"


def document_row_deleted(it: Played) -> str:
    document = it.one("documents", state="received")
    it.delete("files", document_id=document["id"])
    it.delete("documents", id=document["id"])
    return f"document {document['id']} has entries"


def file_digest_changed(it: Played) -> str:
    file = it.one("files", form="original")
    it.update("files", {"id": file["id"]}, sha256=sha256_hex(b"another"))
    return str(file["id"])


def file_added(it: Played) -> str:
    file = dict(it.one("files", form="original")) | {"id": new_id()}
    it.insert("files", **file)
    return str(file["id"])


def file_row_deleted(it: Played) -> str:
    file = it.one("files", role="annex")
    it.delete("files", id=file["id"])
    return str(file["id"])


def recipient_added_to_a_document(it: Played) -> str:
    document = it.one("documents", state="archived")
    recipient = it.one("recipients", code="TEST")
    it.insert(
        "document_recipients", document_id=document["id"], recipient_id=recipient["id"], position=9
    )
    return str(recipient["id"])


def delivery_redirected(it: Played) -> str:
    delivery = it.one("deliveries")
    recipient = it.one("recipients", code="TEST")
    it.update("deliveries", {"id": delivery["id"]}, recipient_id=recipient["id"])
    return str(delivery["id"])


def delivery_of_another_file(it: Played) -> str:
    delivery = it.one("deliveries")
    it.update("deliveries", {"id": delivery["id"]}, signed_sha256="b" * 64)
    return str(delivery["id"])


def signature_step_changed(it: Played) -> str:
    step = it.one("signature_steps", step="signed")
    it.update("signature_steps", {"job_id": step["job_id"], "step": "signed"}, sha256="c" * 64)
    return str(step["job_id"])


def counter_rolled_back(it: Played) -> str:
    counter = it.one("register_counters", last=2)
    where = {name: counter[name] for name in ("book", "period", "series")}
    it.update("register_counters", where, last=1)
    return f"series {counter['series']} of {counter['book']}"


def counter_deleted(it: Played) -> str:
    counter = it.one("register_counters", last=2)
    it.delete("register_counters", book=counter["book"])
    return f"of {counter['book']}"


def number_deleted(it: Played) -> str:
    entry = it.one("register_entries", number=1)
    it.delete("register_entries", id=entry["id"])
    return f"document {entry['document_id']}"


def number_left_out(it: Played) -> str:
    entry = it.one("register_entries", number=2)
    it.update("register_entries", {"id": entry["id"]}, number=3)
    return f"The series {entry['series']} of {entry['book']} {entry['period']} (VPUB) lacks 2"


def number_taken_back(it: Played) -> str:
    found = table("register_entries")
    with it.database.read() as connection:
        voided = connection.execute(
            sa.select(found.c.id, found.c.symbol).where(found.c.voided_at.is_not(None))
        ).one()
    it.update(
        "register_entries", {"id": voided.id}, voided_at=None, voided_by=None, void_reason=None
    )
    return f"number {voided.symbol}"


def person_promoted(it: Played) -> str:
    person = it.one("people", login=SPECIALIST)
    office = it.one("offices", person_id=person["id"])
    it.insert("offices", person_id=person["id"], unit_id=office["unit_id"], role="leader")
    return f"person {person['id']} holds the office leader"


def person_activated(it: Played) -> str:
    person = it.one("people", login="moi.nv")
    it.update("people", {"id": person["id"]}, active=True)
    return f"person {person['id']} has the active"


def key_revived(it: Played) -> str:
    key = it.one("api_keys", name="k")
    it.update("api_keys", {"id": key["id"]}, revoked_at=None)
    return f"api_key {key['id']}"


def key_widened(it: Played) -> str:
    key = it.one("api_keys", name="k")
    it.update("api_keys", {"id": key["id"]}, scopes=["documents:create"])
    return f"api_key {key['id']} has the scopes"


def account_moved(it: Played) -> str:
    account = it.one("accounts", login="moi.nv")
    person = it.one("people", login=LEADER)
    it.update("accounts", {"id": account["id"]}, person_id=person["id"])
    return f"account {account['id']}"


def unit_moved(it: Played) -> str:
    unit = it.one("units", code="VP-TH")
    it.update("units", {"id": unit["id"]}, parent_id=None)
    return f"unit {unit['id']}"


def recipient_linked(it: Played) -> str:
    recipient = it.one("recipients", code="TEST")
    unit = it.one("units", code="VP-TH")
    it.update("recipients", {"id": recipient["id"]}, unit_id=unit["id"])
    return f"recipient {recipient['id']}"


def workflow_rewritten(it: Played) -> str:
    workflow = it.one("workflows", name="outgoing")
    it.update("workflows", {"id": workflow["id"]}, source=workflow["source"] + "\n")
    return f"workflow {workflow['id']}"


TAMPERED: list[tuple[Tamper, str]] = [
    (entry_edited, "log-leaf"),
    (entry_edited_under_a_checkpoint, "checkpoint-root"),
    (entry_edited_before_another, "entry-chain"),
    (entry_made_no_leaf, "entry-leaf"),
    (entry_column_changed, "entry-columns"),
    (entry_hash_column_changed, "entry-hash"),
    (entry_deleted, "log-entry-missing"),
    (entry_deleted_with_its_place, "log-gap"),
    (waiting_entry_deleted, "subject-unrecorded"),
    (entry_forgotten_by_the_queue, "entry-place"),
    (entries_reordered, "log-leaf"),
    (details_changed, "entry-details"),
    (details_added, "entry-details"),
    (details_key_dropped, "entry-details"),
    (checkpoint_replaced_by_another_key, "checkpoint-signature"),
    (checkpoint_of_another_tree, "checkpoint-root"),
    (checkpoint_row_changed, "checkpoint-columns"),
    (last_checkpoint_deleted, "checkpoint-size"),
    (checkpoint_dated_back, "checkpoint-time"),
    (tile_changed, "log-leaf"),
    (tile_cut, "log-tile"),
    (tile_deleted, "log-tile"),
    (tile_added, "log-tile"),
    (state_set_back, "log-size"),
    (published_tile_changed, "published-tile"),
    (published_bundle_missing, "published-tile"),
    (published_checkpoint_set_back, "published-checkpoint"),
    (published_checkpoint_unknown, "published-checkpoint"),
    (published_checkpoint_missing, "published-checkpoint"),
    (document_moved, "subject-row"),
    (document_readdressed, "subject-row"),
    (document_renumbered, "subject-row"),
    (document_reassigned, "subject-row"),
    (document_version_changed, "subject-version"),
    (document_head_changed, "subject-head"),
    (document_without_history, "subject-unrecorded"),
    (document_row_deleted, "subject-missing"),
    (file_digest_changed, "file"),
    (file_added, "file"),
    (file_row_deleted, "file"),
    (recipient_added_to_a_document, "recipients"),
    (delivery_redirected, "delivery"),
    (delivery_of_another_file, "delivery"),
    (signature_step_changed, "signature-step"),
    (counter_rolled_back, "register-counter"),
    (counter_deleted, "register-counter"),
    (number_deleted, "register"),
    (number_left_out, "register-gap"),
    (number_taken_back, "register"),
    (person_promoted, "office"),
    (person_activated, "subject-row"),
    (key_revived, "subject-row"),
    (key_widened, "subject-row"),
    (account_moved, "subject-row"),
    (unit_moved, "subject-row"),
    (recipient_linked, "subject-row"),
    (workflow_rewritten, "subject-row"),
]


@pytest.mark.parametrize(
    ("tamper", "check"), TAMPERED, ids=[f"{t.__name__}-{check}" for t, check in TAMPERED]
)
def test_it_is_found_and_named(played: Played, tamper: Tamper, check: str) -> None:
    mentioned = tamper(played)
    report = played.verify()
    sentences = [item.sentence for item in report.findings if item.check == check]
    assert any(mentioned in sentence for sentence in sentences), told(report)


def test_one_change_is_not_told_as_many(played: Played) -> None:
    tile_changed(played)
    report = played.verify()
    assert set(report.found) == {"log-leaf", "checkpoint-root", "published-tile"}, told(report)
    (root,) = [item for item in report.findings if item.check == "checkpoint-root"]
    assert "the tiles give" in root.sentence


def test_a_number_given_twice_is_found_without_the_unique_constraint(played: Played) -> None:
    entries = table("register_entries")
    entry = dict(played.one("register_entries", number=2))
    before = played.one("register_entries", number=1, book=entry["book"])
    with outlaw(played.database) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("CREATE TABLE spare AS SELECT * FROM register_entries")
            connection.exec_driver_sql("DROP TABLE register_entries")
            connection.exec_driver_sql("ALTER TABLE spare RENAME TO register_entries")
        else:
            for constraint in entries.constraints:
                if isinstance(constraint, sa.UniqueConstraint):
                    connection.exec_driver_sql(
                        f"ALTER TABLE register_entries DROP CONSTRAINT {constraint.name}"
                    )
        connection.execute(
            sa.update(entries)
            .where(entries.c.id == entry["id"])
            .values(number=1, series=before["series"])
        )
    report = played.verify()
    (double,) = [item for item in report.findings if item.check == "register-double"]
    assert entry["document_id"] in double.sentence
    assert before["document_id"] in double.sentence


def test_stored_bytes_are_read_only_on_request(played: Played) -> None:
    file = played.one("files", form="released")
    path = played.folder / "store" / file["storage_key"]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b" ")
    assert played.verify().ok
    report = played.verify(contents=True)
    (finding,) = report.findings
    assert (finding.check, finding.subject) == ("file-content", f"file {file['id']}")
    path.unlink()
    assert "are missing" in played.verify(contents=True).findings[0].sentence


class TestKeptCheckpoints:
    def test_the_log_still_extends_one(self, played: Played) -> None:
        first = played.one("log_checkpoints")
        assert played.verify(kept=[first["note"]]).ok

    def test_a_rewritten_history_does_not(self, played: Played) -> None:
        """The operator rewrites everything and signs it anew: only a kept checkpoint tells."""
        kept = [row["note"] for row in [played.one("log_checkpoints")]]
        rewrite(played)
        assert set(played.verify().found) <= {"entry-chain", "subject-head"}
        report = played.verify(kept=kept)
        assert "history was rewritten" in told(report)

    def test_a_cut_off_history_does_not(self, played: Played) -> None:
        longer = sign_checkpoint(
            Checkpoint(played.key.verifier.name, 9999, bytes(32)), [played.key]
        )
        report = played.verify(kept=[longer])
        assert "history was cut off" in told(report)

    def test_a_forged_one_is_told(self, played: Played) -> None:
        report = played.verify(kept=["nonsense"])
        (finding,) = report.findings
        assert finding.check == "checkpoint-signature"


def rewrite(it: Played) -> None:
    """Change one entry and make the whole log anew, with the log's own key."""
    entry_edited(it)
    names = ("log_leaves", "log_tiles", "log_checkpoints", "log_state", "history_pending")
    entries = table("history_entries")
    with outlaw(it.database) as connection:
        for name in names:
            connection.execute(sa.delete(table(name)))
        columns = sa.select(entries.c.id)
        connection.execute(sa.insert(table("history_pending")).from_select(["entry_id"], columns))
    it.store.delete(CHECKPOINT_KEY)  # else the sequencer would not sign on
    Sequencer(it.database, it.store, it.key, it.database.clock).run()


def test_another_public_key_does_not_verify(played: Played) -> None:
    stranger = SigningKey(played.key.verifier.name, bytes(32)).verifier
    report = verify_everything(played.database, played.store, stranger)
    assert set(report.found) == {"checkpoint-signature", "published-checkpoint"}


def test_findings_are_bounded_and_counted(played: Played) -> None:
    from docflow.audit.report import MOST_PER_CHECK, Notebook

    notebook = Notebook()
    for number in range(MOST_PER_CHECK + 50):
        notebook.find("x", str(number), "…")
    assert len(notebook.findings) == MOST_PER_CHECK
    assert notebook.found["x"] == MOST_PER_CHECK + 50


def test_it_verifies_while_the_service_writes(played: Played) -> None:
    """The snapshot is of one moment: what is written and published meanwhile is no finding."""
    sequencer = Sequencer(played.database, played.store, played.key, played.database.clock)
    units = table("units")

    def meanwhile(_what: str, _done: int, _total: int) -> None:
        from docflow.kernel.actor import SERVICE
        from docflow.people.writing import add_unit

        with played.database.unit_of_work(SERVICE) as uow:
            unit_id = new_id()
            add_unit(uow, {"id": unit_id, "code": unit_id, "name": "x", "parent_id": None})
        sequencer.run()

    report = played.verify(progress=meanwhile)
    assert report.ok, told(report)
    with played.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(units)).scalar_one() > 10
    assert played.verify().ok
