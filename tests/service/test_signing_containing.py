"""The gate for containers: whatever is not exactly what was expected is refused, with its reason."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from docflow.kernel.errors import IntegrityError
from docflow.signing.containing import (
    SealedPart,
    SignedAnnex,
    validate_container,
    validate_detached,
)
from docflow.signing.detached import Member, sign_detached, write_container
from docflow.signing.manifest import MANIFEST
from docflow.signing.signed import Expected, SignedFile
from tests.service.signing_office import SigningOffice
from tests.service.test_verification_zip import hidden, inserted, second
from tests.unit.signing.forge import NOW

PDF, TABLE, SIGNATURE = "quyết định.pdf", "bảng.csv", "bảng.csv.p7s"


@dataclass(frozen=True)
class Made:
    """A container, what it was made of, and what the gate is told to expect."""

    office: SigningOffice
    path: Path
    files: dict[str, Path]
    part: SealedPart
    annex: SignedAnnex

    def write(self, **members: Path) -> None:
        """Have the seal sign a container of other files."""
        write_container(
            self.path,
            [Member(name, path, "text/plain") for name, path in {**self.files, **members}.items()],
            self.office.organisation,
            now=NOW,
        )

    def validate(
        self, *, annexes: list[SignedAnnex] | None = None, seal: str | None = None
    ) -> SignedFile:
        return validate_container(
            self.path,
            self.office.roots,
            parts=[self.part],
            annexes=[self.annex] if annexes is None else annexes,
            seal=seal or self.office.organisation.sha256,
            level="B-B",
            now=NOW,
        )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


@pytest.fixture
def made(office: SigningOffice, tmp_path: Path) -> Made:
    table, signature = tmp_path / "table", tmp_path / "p7s"
    table.write_text("số,ngày\n1,2\n")
    sign_detached(table, signature, office.person, now=NOW)
    proof = office.validate(office.sealed(tmp_path))
    files = {PDF: proof.path, TABLE: table, SIGNATURE: signature}
    digest = sha256_of_file(table)
    annex = SignedAnnex(TABLE, digest, SIGNATURE, (Expected(office.person.certificate),))
    container = Made(office, tmp_path / "c.asice", files, SealedPart(PDF, proof), annex)
    container.write()
    return container


def sha256_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_exactly_what_is_expected_passes(made: Made) -> None:
    proof = made.validate()
    assert proof.sha256 == sha256_of_file(made.path)
    assert proof.seal.certificate_sha256 == made.office.organisation.sha256
    assert proof.person == made.part.proof.person


def _other_annex(made: Made) -> None:
    other = made.path.with_name("other")
    other.write_text("số,ngày\n1,3\n")
    made.write(**{TABLE: other})


def _other_pdf(made: Made) -> None:
    other = made.path.with_name("other.pdf")
    other.write_bytes(made.files[PDF].read_bytes() + b"\n")
    made.write(**{PDF: other})


def _one_more(made: Made) -> None:
    made.write(thêm=made.files[TABLE])


def _signed_by_the_seal_only(made: Made) -> None:
    other = made.path.with_name("other.p7s")
    sign_detached(made.files[TABLE], other, made.office.organisation, now=NOW)
    made.write(**{SIGNATURE: other})


def _two_signers(made: Made) -> None:
    other = made.path.with_name("both.p7s")
    sign_detached(
        made.files[TABLE], other, made.office.organisation, now=NOW,
        beside=made.files[SIGNATURE],
    )  # fmt: skip
    made.write(**{SIGNATURE: other})


def _sealed_by_a_person(made: Made) -> None:
    write_container(
        made.path,
        [Member(name, path, "text/plain") for name, path in made.files.items()],
        made.office.person,
        now=NOW,
    )


def _hidden_beside_the_manifest(made: Made) -> None:
    with zipfile.ZipFile(made.path, "a") as archive:
        archive.writestr("META-INF/notes.txt", "hidden")


def _hidden_from_the_directory(made: Made) -> None:
    data = made.path.read_bytes()
    made.path.write_bytes(inserted(data, second(data), hidden(TABLE)))


def _other_manifest(made: Made) -> None:
    with zipfile.ZipFile(made.path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    kept[MANIFEST] = kept[MANIFEST].replace(b"text/plain", b"text/other")
    with zipfile.ZipFile(made.path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (_other_annex, "not the one that was signed"),
        (_other_pdf, "not the one that was signed"),
        (_one_more, "are expected"),
        (_signed_by_the_seal_only, "not by exactly those expected"),
        (_two_signers, "not by exactly those expected"),
        (_sealed_by_a_person, "is expected"),
        (_hidden_beside_the_manifest, "No signature covers 'META-INF/notes.txt'"),
        (_hidden_from_the_directory, "belong to no file"),
        (_other_manifest, "TOTAL-FAILED"),
    ],
)
def test_anything_else_is_refused(made: Made, attack: Callable[[Made], None], reason: str) -> None:
    attack(made)
    with pytest.raises(IntegrityError, match=reason) as caught:
        made.validate()
    assert caught.value.code == "release-not-valid"


def test_a_level_that_is_not_reached_is_refused(made: Made) -> None:
    wanted = replace(made.annex, persons=(Expected(made.office.person.certificate, "B-T"),))
    with pytest.raises(IntegrityError, match="reaches B-B, and B-T is expected"):
        made.validate(annexes=[wanted])


def test_an_annex_that_is_not_expected_is_refused(made: Made) -> None:
    with pytest.raises(IntegrityError, match="are expected"):
        made.validate(annexes=[])


def test_a_signature_file_over_something_else_is_refused(made: Made) -> None:
    expected = [Expected(made.office.person.certificate)]
    given = {"persons": expected, "now": NOW}
    validate_detached(made.files[SIGNATURE], made.files[TABLE], made.office.roots, **given)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError) as caught:
        validate_detached(made.files[SIGNATURE], made.files[PDF], made.office.roots, **given)  # type: ignore[arg-type]
    assert caught.value.code == "signature-not-valid"
    with pytest.raises(IntegrityError, match="cannot be read"):
        validate_detached(made.files[TABLE], made.files[TABLE], made.office.roots, **given)  # type: ignore[arg-type]
