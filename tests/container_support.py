"""An instance whose workflows release in a container, and what the outside makes of one."""

import dataclasses
import shutil
import zipfile
from pathlib import Path
from typing import Any

from docflow.documents.create import NewDocument, create
from docflow.documents.intake import Intake
from docflow.kernel.clock import ManualClock
from docflow.kernel.resources import bundled
from tests.levels_support import write_services, write_signers
from tests.office_support import SPECIALIST, Instance, copy_instance
from tests.persons_support import DATA
from tests.pki_support import LivePki
from tests.unit.signing.forge import make_pdf, run

ALONE, JOINT = "outgoing-container", "outgoing-joint"
ANY_ORDER = "outgoing-any-order"  # of three people
TABLE = ("Bảng số liệu: quý 4?.csv", "số,ngày\n1,2026-10-01\n".encode() * 2_000)
PICTURE = ("sơ đồ.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)


def container_office(
    folder: Path,
    prepared: Path,
    clock: ManualClock,
    *,
    level: str = "B-B",
    seal: str | None = None,
    **settings: Any,
) -> Instance:
    """Return an instance with those workflows: `ALONE`, and those that several people sign."""
    copy_instance(prepared, folder / "var")
    workflows = container_workflows(folder, level, seal or level)
    url = f"sqlite:///{folder / 'var' / 'docflow.sqlite3'}"
    return Instance(folder / "var", url, clock, workflows_dir=workflows, **settings)


def container_workflows(folder: Path, level: str = "B-B", seal: str = "B-B") -> Path:
    """Write those workflows beside the ones that ship, `seal` the seal's level; return their folder."""
    workflows = folder / "workflows"
    shutil.copytree(bundled("workflows"), workflows)
    for name in (ALONE, JOINT, ANY_ORDER):
        text = (DATA / f"{name}.yaml").read_text("utf-8")
        if name != ALONE:
            plain = "sign: {as: organisation, level: B-B}"
            assert plain in text
            text = text.replace(plain, "sign: {as: organisation, level: B-B, container: ASiC-E}")
        text = text.replace("as: organisation, level: B-B", f"as: organisation, level: {seal}")
        text = text.replace("level: B-B", f"level: {level}")
        (workflows / f"{name}.yaml").write_text(text, "utf-8")
    return workflows


def pki_office(
    folder: Path,
    prepared: Path,
    clock: ManualClock,
    pki: LivePki,
    *,
    person: str = "B-LT",
    seal: str = "B-LT",
    tsas: tuple[str, ...] = ("tsa",),
    **settings: Any,
) -> Instance:
    """Return the same at these levels, with identities and services of the living PKI."""
    pki.now = clock.now
    return container_office(
        folder, prepared, clock, level=person, seal=seal, signers_file=write_signers(folder, pki),
        signing_services_file=write_services(folder, pki, *tsas), **settings,
    )  # fmt: skip


def with_annexes(
    office: Instance, *annexes: tuple[str, bytes], workflow: str = ALONE, **values: Any
) -> str:
    """Draft a document with annexes as the specialist; return its id."""
    new = NewDocument(
        subject="Công bố số liệu", type_code="QĐ", direction="outgoing", recipients=["STC"],
        workflow=workflow,
    )  # fmt: skip
    new = dataclasses.replace(new, **values)
    intake = Intake(office.services.desk, classification=new.classification)
    return create(
        office.services.desk,
        office.actor(SPECIALIST),
        new,
        main=office.receive(intake, office.decision, "quyết định.pdf"),
        annexes=[office.receive(intake, content, name) for name, content in annexes],
        intake=intake,
    )


def pdf_annex() -> tuple[str, bytes]:
    return "phụ lục.pdf", make_pdf()


def opened(container: bytes, folder: Path) -> dict[str, Path]:
    """Unpack a container with unzip's own check, to files by name."""
    path = folder / "container.asice"
    path.write_bytes(container)
    run("unzip", "-tq", path)
    found = {}
    with zipfile.ZipFile(path) as archive:
        for number, name in enumerate(archive.namelist()):
            found[name] = folder / f"member{number}"
            found[name].write_bytes(archive.read(name))
    return found


def openssl_verifies(signature: Path, content: Path, roots: Path) -> str:
    """Have OpenSSL verify a detached CAdES signature; return what it says."""
    return run(
        "openssl", "cms", "-verify", "-binary", "-cades", "-inform", "DER", "-in", signature,
        "-content", content, "-CAfile", roots, "-purpose", "any", "-no_check_time", "-out", "/dev/null",
    )  # fmt: skip
