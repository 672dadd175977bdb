"""Proofs and tiles: who gets them, what they prove, and that nothing false is handed out."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from docflow.audit.proofs import Proofs
from docflow.db import Database
from docflow.db.tables import history_entries, log_checkpoints, log_tiles
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError, IntegrityError, NotFoundError
from docflow.kernel.ids import new_id
from docflow.transparency.checkpoint import open_checkpoint
from docflow.transparency.errors import ProofFileError
from docflow.transparency.merkle import leaf_hash
from docflow.transparency.proof import verify_proof
from docflow.transparency.tiles import Tile, make_bundle, tiles_of
from tests.audit_support import KEY, ORIGIN, Log, outlaw
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    OTHER_SPECIALIST,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
    Instance,
)


@pytest.fixture
def log(database: Database, tmp_path: Path, clock: ManualClock) -> Log:
    return Log(database, tmp_path, clock)


@pytest.fixture
def proofs(log: Log) -> Proofs:
    return Proofs(log.database, KEY.verifier)


class TestProof:
    def test_it_proves_its_entry_with_nothing_but_the_public_key(
        self, log: Log, proofs: Proofs
    ) -> None:
        log.add(300)
        log.run()
        for row in log.order()[::37]:
            proof = proofs.proof(SERVICE, row["id"])
            verified = verify_proof(proof.text, proofs.vkey)
            assert verified.leaf.decode() == row["leaf"]
            assert (verified.fields.id, verified.index) == (row["id"], row["index"])
            assert (proof.index, proof.size) == (row["index"], 300)

    def test_an_entry_without_a_place_yet_is_told_to_come_again(
        self, log: Log, proofs: Proofs
    ) -> None:
        log.add()
        (entry,) = log.read(history_entries)
        for _ in range(2):  # before the log's first entry, and after it
            with pytest.raises(ConflictError, match="in a moment") as caught:
                proofs.proof(SERVICE, entry["id"])
            assert caught.value.code == "not-yet-sequenced"
            log.run()
            log.add()
            entry = log.read(history_entries, history_entries.c.id)[-1]

    def test_it_is_under_the_newest_checkpoint(self, log: Log, proofs: Proofs) -> None:
        log.add()
        log.run()
        entry_id = log.order()[0]["id"]
        first = proofs.proof(SERVICE, entry_id)
        log.add(2)
        log.run()
        second = proofs.proof(SERVICE, entry_id)
        assert (first.size, second.size) == (1, 3)
        assert verify_proof(second.text, KEY.verifier).checkpoint.size == 3

    def test_there_is_none_of_what_is_no_entry(self, proofs: Proofs) -> None:
        for entry_id in (new_id(), "", "x' OR 1=1"):
            with pytest.raises(NotFoundError) as caught:
                proofs.proof(SERVICE, entry_id)
            assert caught.value.code == "no-such-entry"

    def test_a_changed_byte_is_noticed_by_whoever_holds_it(self, log: Log, proofs: Proofs) -> None:
        log.add(5)
        log.run()
        text = proofs.proof(SERVICE, log.order()[2]["id"]).text
        for at in range(0, len(text), 7):
            changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            with pytest.raises(ProofFileError):
                verify_proof(changed, KEY.verifier)

    @pytest.mark.parametrize("what", ["leaf", "tile", "root"])
    def test_nothing_false_is_handed_out(self, log: Log, proofs: Proofs, what: str) -> None:
        log.add(5)
        log.run()
        entry_id = log.order()[2]["id"]
        with outlaw(log.database) as connection:
            if what == "leaf":
                leaf = sa.func.replace(history_entries.c.leaf, "unit.created", "unit.removed")
                connection.execute(sa.update(history_entries).values(leaf=leaf))
            elif what == "tile":
                connection.execute(sa.update(log_tiles).values(hashes=bytes(160)))
            else:
                connection.execute(sa.update(log_checkpoints).values(root="0" * 64))
        with pytest.raises(IntegrityError):
            proofs.proof(SERVICE, entry_id)


class TestResources:
    def test_every_tile_and_bundle_comes_by_its_path(self, log: Log, proofs: Proofs) -> None:
        log.add(300)
        log.run()
        rows = log.order()
        hashes = [bytes.fromhex(row["leaf_hash"]) for row in rows]
        for tile in tiles_of(300):
            data = proofs.tile(SERVICE, tile.path)
            with log.store.open(f"log/{tile.path}") as published:
                assert data == published.read()
        assert proofs.tile(SERVICE, Tile(0, 0, 256).path) == b"".join(hashes[:256])
        assert proofs.tile(SERVICE, "tile/0/000.p/7") == b"".join(hashes[:7])
        leaves = [row["leaf"].encode() for row in rows[256:259]]
        assert proofs.tile(SERVICE, "tile/entries/001.p/3") == make_bundle(leaves)
        assert leaf_hash(leaves[0]) == hashes[256]

    @pytest.mark.parametrize(
        "path",
        [
            "tile/0/000",
            "tile/0/000.p/4",
            "tile/0/000.p/0",
            "tile/0/001.p/1",
            "tile/1/000.p/1",
            "tile/entries/000.p/4",
            "tile/63/000",
            "tile/0/../../checkpoint",
            "tile/0/x001/000",
            "checkpoint",
            "",
            "tile/0/" + "x999/" * 5 + "999",
        ],
    )
    def test_what_the_log_has_not_is_not_found(self, log: Log, proofs: Proofs, path: str) -> None:
        log.add(3)
        log.run()
        with pytest.raises(NotFoundError) as caught:
            proofs.tile(SERVICE, path)
        assert caught.value.code == "no-such-tile"

    def test_the_checkpoint_is_the_newest(self, log: Log, proofs: Proofs) -> None:
        with pytest.raises(NotFoundError) as caught:
            proofs.checkpoint()
        assert caught.value.code == "no-checkpoint"
        for size in (1, 2):
            log.add()
            log.run()
            signed = open_checkpoint(proofs.checkpoint(), [KEY.verifier], origin=ORIGIN)
            assert signed.checkpoint.size == size


class TestAccess:
    """Auditors have every proof; who may read a document, those of its entries; others none."""

    def entries(self, office: Instance) -> tuple[str, str]:
        """Return an entry about a document of the clerk, and one about a person."""
        document = office.incoming()
        office.services.sequencer.run()
        (about,) = office.rows("history_entries", subject_id=document)
        person = office.actor(CLERK).id
        return about["id"], office.rows("history_entries", subject_id=person)[0]["id"]

    def test_by_office(self, instance: Instance) -> None:
        document_entry, person_entry = self.entries(instance)
        proofs = instance.services.proofs

        def may(login: str, entry: str) -> bool:
            try:
                proofs.proof(instance.actor(login), entry)
            except NotFoundError:
                return False
            return True

        assert may(AUDITOR, document_entry)
        assert may(AUDITOR, person_entry)
        assert may(CLERK, document_entry)
        assert not may(CLERK, person_entry)
        for login in (ADMINISTRATOR, OTHER_SPECIALIST, RECIPIENT, SYSTEM):
            assert not may(login, document_entry), login
            assert not may(login, person_entry), login

    def test_an_api_key_needs_the_scope(self, instance: Instance) -> None:
        document_entry, person_entry = self.entries(instance)
        proofs = instance.services.proofs
        for login, scopes, entry in (
            (CLERK, ["documents:read"], document_entry),
            (AUDITOR, ["documents:read"], person_entry),
            (AUDITOR, ["documents:read"], document_entry),
        ):
            with pytest.raises(ForbiddenError) as caught:
                proofs.proof(with_key(instance, login, scopes), entry)
            assert caught.value.rule == "key-scope"
        reader = with_key(instance, AUDITOR, ["history:read"])
        assert proofs.proof(reader, person_entry).entry_id == person_entry

    def test_tiles_are_for_auditors(self, instance: Instance) -> None:
        self.entries(instance)
        tile = instance.services.proofs.tile
        assert tile(instance.actor(AUDITOR), "tile/entries/000.p/1")
        for login in (CLERK, SPECIALIST, ADMINISTRATOR, RECIPIENT):
            with pytest.raises(ForbiddenError):
                tile(instance.actor(login), "tile/0/000.p/1")


def with_key(instance: Instance, login: str, scopes: list[str]) -> Actor:
    admin, owner = instance.actor(ADMINISTRATOR), instance.actor(login)
    made = instance.services.keys.create(admin, name="k", person_id=owner.id, scopes=scopes)
    return instance.services.authenticator.authenticate(made.token)


def seconds(act: Callable[[], object], times: int = 1) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def test_a_thousand_entries_and_a_proof_take_moments(
    log: Log, proofs: Proofs, record_property: Callable[[str, object], None]
) -> None:
    log.add(1000)
    sequencing = seconds(log.run)
    log.add(1000)
    log.run()
    ids = iter([row["id"] for row in log.order()])
    cold = seconds(lambda: Proofs(log.database, KEY.verifier).proof(SERVICE, next(ids)), 20)
    warm = seconds(lambda: proofs.proof(SERVICE, next(ids)), 200)
    for name, value in (("sequencing", sequencing), ("cold", cold), ("warm", warm)):
        record_property(f"{name}_ms", round(value * 1000, 2))
    assert sequencing < 3, "about 0.2 s on two idle cores; this bound only catches a new order"
    assert warm < 0.1
