"""Whatever order writes and sequencer runs come in, every entry gets one proof that verifies offline."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.audit.pending import NewLeaf, in_order
from docflow.audit.proofs import Proofs
from docflow.audit.records import read_tile
from docflow.db import Database
from docflow.db.tables import log_checkpoints
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock
from docflow.transparency.checkpoint import open_checkpoint
from docflow.transparency.merkle import verify_consistency
from docflow.transparency.proof import verify_proof
from docflow.transparency.tiles import TileReader
from tests.audit_support import KEY, ORIGIN, Log, told
from tests.conftest import START

ACT = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 90)),
    st.tuples(st.just("change"), st.integers(0, 10_000)),
    st.tuples(st.just("run"), st.just(0)),
    st.tuples(st.just("proof"), st.integers(0, 10_000)),
)


@contextmanager
def fresh(migrated_sqlite: Path) -> Iterator[Log]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(migrated_sqlite, folder / "docflow.sqlite3")
        clock = ManualClock(START)
        database = Database(f"sqlite:///{folder / 'docflow.sqlite3'}", clock)
        yield Log(database, folder, clock)
        database.dispose()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACT, min_size=1, max_size=25))
def test_proofs_of_any_interleaving_verify_offline(
    migrated_sqlite: Path, acts: list[tuple[str, int]]
) -> None:
    with fresh(migrated_sqlite) as log:
        subjects = log.add(1)
        proofs = Proofs(log.database, KEY.verifier)  # its cache lives through all sizes
        kept: list[str] = []
        for act, number in acts:
            if act == "add":
                subjects += log.add(number)
            elif act == "change":
                log.change(subjects[number % len(subjects)])
            elif act == "run":
                log.run()
            elif log.order():
                kept.append(prove(log, proofs, number))
        log.run()
        for row in log.order():
            verified = verify_proof(proofs.proof(SERVICE, row["id"]).text, str(KEY.verifier))
            assert (verified.fields.id, verified.index) == (row["id"], row["index"])
        for text in kept:  # what was handed out earlier stays true
            verify_proof(text, str(KEY.verifier))
        check_consistency(log)
        report = log.verify(kept=[text.partition("\n\n")[2] for text in kept])
        assert report.ok, told(report)


def prove(log: Log, proofs: Proofs, number: int) -> str:
    ordered = log.order()
    row = ordered[number % len(ordered)]
    text = proofs.proof(SERVICE, row["id"]).text
    assert verify_proof(text, KEY.verifier).leaf == row["leaf"].encode()
    return text


def check_consistency(log: Log) -> None:
    """Each checkpoint is a prefix of the next, as its tiles prove."""
    heads = [
        open_checkpoint(row["note"], [KEY.verifier], origin=ORIGIN).checkpoint
        for row in log.read(log_checkpoints, log_checkpoints.c.size)
    ]
    with log.database.read() as connection:
        reader = TileReader(lambda level, at, width: read_tile(connection, level, at, width))
        for old, new in pairwise(heads):
            proof = reader.consistency_proof(old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, proof)


LEAF = st.builds(
    lambda entry_id, subject, seq: NewLeaf(f"{entry_id:04}", ("unit", str(subject)), seq, b"", b""),
    st.integers(0, 999),
    st.integers(0, 4),
    st.integers(1, 50),
)


@given(
    leaves=st.lists(
        LEAF, unique_by=(lambda leaf: leaf.entry_id, lambda leaf: (leaf.subject, leaf.seq))
    )
)
def test_every_beginning_of_a_batch_holds_what_its_entries_follow(leaves: list[NewLeaf]) -> None:
    ordered = in_order(leaves)
    assert sorted(ordered, key=lambda leaf: leaf.entry_id) == sorted(
        leaves, key=lambda leaf: leaf.entry_id
    )
    for subject in {leaf.subject for leaf in leaves}:
        seqs = [leaf.seq for leaf in ordered if leaf.subject == subject]
        assert seqs == sorted(seqs)
    if all(
        [leaf.seq for leaf in sorted(leaves, key=lambda leaf: leaf.entry_id) if leaf.subject == s]
        == sorted(leaf.seq for leaf in leaves if leaf.subject == s)
        for s in {leaf.subject for leaf in leaves}
    ):
        assert ordered == sorted(leaves, key=lambda leaf: leaf.entry_id)  # clocks agree: by id
