"""An instance with workflows in which several persons sign one PDF, each with a signature of their own."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docflow.kernel.clock import ManualClock
from docflow.kernel.resources import bundled
from docflow.signing.report import VerificationReport
from docflow.signing.validate import verify
from tests.levels_support import write_services, write_signers
from tests.office_support import HEAD, LEADER, SPECIALIST, Instance, copy_instance
from tests.pki_support import LivePki

SECOND_LEADER = "mai.bt"
PROCEDURES = ("outgoing-joint.yaml", "outgoing-three.yaml", "outgoing-any-order.yaml")
DATA = Path(__file__).parent / "data" / "workflows"
HEAD_FIRST = ((HEAD, "sign_as_head"), (LEADER, "countersign_as_leader"))
LEADER_FIRST = ((LEADER, "sign_as_leader"), (HEAD, "countersign_as_head"))
ANY_ORDER = (
    (LEADER, "sign_as_chairman"),
    (SECOND_LEADER, "sign_as_deputy"),
    (HEAD, "sign_as_head"),
)
THREE = ((LEADER, "sign"), (SECOND_LEADER, "countersign"), (HEAD, "attest"))


def persons_office(
    folder: Path,
    prepared: Path,
    clock: ManualClock,
    *,
    level: str = "B-B",
    unseen: Sequence[str] = (),
    **settings: Any,
) -> Instance:
    """Return an instance with those workflows, persons signing at `level`, those `unseen` on no page."""
    copy_instance(prepared, folder / "var")
    workflows = folder / "workflows"
    shutil.copytree(bundled("workflows"), workflows)
    for name in PROCEDURES:
        text = (DATA / name).read_text("utf-8")
        text = text.replace("{as: person, level: B-B", f"{{as: person, level: {level}")
        for trigger in unseen:
            place = re.compile(rf"(  {trigger}:.*?)signature: {{[^}}]*}}", re.DOTALL)
            text = place.sub(r"\1", text, count=1).replace(", place: {}", "")
        if level != "B-B":
            text = text.replace("{as: organisation, level: B-B", "{as: organisation, level: B-LTA")
        (workflows / name).write_text(text, "utf-8")
    url = f"sqlite:///{folder / 'var' / 'docflow.sqlite3'}"
    return Instance(folder / "var", url, clock, workflows_dir=workflows, **settings)


def persons_at(
    folder: Path, prepared: Path, clock: ManualClock, pki: LivePki, level: str = "B-T"
) -> Instance:
    """Return the same at a level, sealed at B-LTA, with the identities and services of the living PKI."""
    pki.now = clock.now
    others = {SECOND_LEADER: "person-second", HEAD: "person-third"}
    return persons_office(
        folder, prepared, clock, level=level, signers_file=write_signers(folder, pki, **others),
        signing_services_file=write_services(folder, pki),
    )  # fmt: skip


def approved(office: Instance, workflow: str, **values: Any) -> str:
    document_id = office.draft(workflow=workflow, **values)
    office.fire(SPECIALIST, document_id, "submit")
    office.fire(HEAD, document_id, "approve")
    return document_id


def sign_all(office: Instance, document_id: str, order: Sequence[tuple[str, str]]) -> None:
    for login, trigger in order:
        office.run(office.fire(login, document_id, trigger))


def stored(office: Instance, document_id: str, form: str, folder: Path) -> Path:
    """Copy the document's current file of one form to a folder."""
    (row,) = office.rows("files", document_id=document_id, form=form, current=True)
    path = folder / f"{form}.pdf"
    with office.services.store.open(row["storage_key"]) as file:
        path.write_bytes(file.read())
    return path


def report_on(office: Instance, path: Path) -> VerificationReport:
    studio = office.services.studio
    return verify(
        path, studio.desk.levels.longterm.timestamp_roots, now=office.services.clock.now(),
        own_roots=studio.signers.own_roots,
    )  # fmt: skip
