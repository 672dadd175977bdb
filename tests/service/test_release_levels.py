"""Releases at every level through the real jobs, with a living PKI; and what happens when it fails."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from docflow.signing.ades import levels_reached
from tests.levels_support import office_at
from tests.office_support import Instance
from tests.pki_support import LivePki
from tests.unit.signing.forge import run

Offices = Callable[..., Instance]


@pytest.fixture
def offices(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Offices]:
    """Make instances that sign with the living PKI."""
    made: list[Instance] = []

    def make(**options: Any) -> Instance:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(office_at(folder, prepared, clock, pki, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def released(office: Instance, document_id: str, folder: Path) -> Path:
    """Return the released main file."""
    (row,) = office.rows("files", document_id=document_id, form="released")
    path = folder / "released.pdf"
    with office.services.store.open(row["storage_key"]) as file:
        path.write_bytes(file.read())
    return path


def test_a_release_is_b_lta_with_evidence_and_history_that_say_so(
    offices: Offices, tmp_path: Path, pki: LivePki, clock: ManualClock
) -> None:
    office = offices()
    document_id = office.to_released(office.draft())
    path = released(office, document_id, tmp_path)
    reached = levels_reached(path, pki.roots, now=clock.now())
    assert [(one.field, one.level) for one in reached] == [("Person", "B-LTA"), ("Seal", "B-LTA")]
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
    run("qpdf", "--check", path)
    steps = {row["step"]: row["evidence"] for row in office.rows("signature_steps")
             if row["document_id"] == document_id}  # fmt: skip
    assert steps["sealed"]["level"] == "B-LTA"
    assert steps["sealed"]["person_level"] == "B-T"
    assert steps["sealed"]["timestamp_authority"] == "tsa"
    assert steps["validated"]["level"] == "B-LTA"
    (entry,) = [
        one for one in office.rows("history_entries", subject_id=document_id)
        if one["action"] == "document.sealed"
    ]  # fmt: skip
    assert '"level":"B-LTA"' in entry["leaf"]
