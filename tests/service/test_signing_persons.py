"""What the gate says of files with several personal signatures, good and forged."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.signing.identity import SignerIdentity
from docflow.signing.pades import MOST_PERSONS, Slot, seal, sign_person
from docflow.signing.strict import Expected, validate_person_signed, validate_release
from tests.service.signing_office import SigningOffice, sign_anyhow
from tests.unit.signing.forge import NOW


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def people(office: SigningOffice) -> list[SignerIdentity]:
    """Three persons with certificates of their own."""
    made = [office.forge.identity(office.folder / f"p{n}.p12", "person") for n in (2, 3)]
    return [office.person, *made]


def signed(
    office: SigningOffice, folder: Path, people: Sequence[SignerIdentity], of: int | None = None
) -> Path:
    """Return a file that these people signed in this order, as the first of `of`."""
    path = office.stamped(folder / "stamped.pdf")
    for number, person in enumerate(people, 1):
        target = folder / f"signed-{number}.pdf"
        sign_person(path, target, person, now=NOW, slot=Slot(number, of or len(people)))
        path = target
    return path


def sealed(office: SigningOffice, source: Path) -> Path:
    return seal(source, source.with_name("sealed.pdf"), office.organisation, now=NOW).path


def reasons(office: SigningOffice, path: Path, people: Sequence[SignerIdentity]) -> str:
    """Return why the gate refuses a release by these people in this order; it must."""
    with pytest.raises(IntegrityError) as caught:
        validate(office, path, people)
    assert caught.value.code == "release-not-valid"
    return " ".join(caught.value.extra["reasons"])


def validate(
    office: SigningOffice, path: Path, people: Sequence[SignerIdentity]
) -> list[str | None]:
    first, *others = people
    proof = validate_release(
        path, office.roots, person=first.sha256, seal=office.organisation.sha256, now=NOW,
        others=[Expected(one.sha256) for one in others],
    )  # fmt: skip
    return [one.certificate_sha256 for one in (proof.person, *proof.others)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_exactly_the_expected_people_in_order_pass(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path, count: int
) -> None:
    path = sealed(office, signed(office, tmp_path, people[:count]))
    assert validate(office, path, people[:count]) == [one.sha256 for one in people[:count]]


def test_as_many_as_there_may_be_pass(office: SigningOffice, tmp_path: Path) -> None:
    crowd = [office.person] * MOST_PERSONS
    path = sealed(office, signed(office, tmp_path, crowd))
    assert len(validate(office, path, crowd)) == MOST_PERSONS
    with pytest.raises(ValueError, match="no file has a personal signature 9 of 9"):
        Slot(MOST_PERSONS + 1, MOST_PERSONS + 1)


def test_a_swapped_order_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    path = sealed(office, signed(office, tmp_path, people))
    told = reasons(office, path, [people[1], people[0], people[2]])
    assert "The personal signature is by" in told
    assert "The personal signature 2 is by" in told
    assert "The personal signature 3 is by" not in told


def test_the_same_person_in_the_place_of_another_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    path = sealed(office, signed(office, tmp_path, [people[0], people[0]]))
    assert "The personal signature 2 is by" in reasons(office, path, people[:2])


def test_one_person_more_or_fewer_than_expected_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    path = sealed(office, signed(office, tmp_path, people[:2]))
    assert "3 signatures, and 4 are expected" in reasons(office, path, people)
    assert "3 signatures, and 2 are expected" in reasons(office, path, people[:1])


def test_a_missing_signature_is_not_sealed_and_not_released(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    half = signed(office, tmp_path, people[:1], of=2)
    with pytest.raises(ConflictError, match="Person signed, Person2 empty, Seal empty") as caught:
        seal(half, tmp_path / "b.pdf", office.organisation, now=NOW)
    assert caught.value.code == "not-signed"
    path = sign_anyhow(half, tmp_path / "c.pdf", office.organisation, field_name="Seal")
    assert "2 signatures, and 3 are expected" in reasons(office, path, people[:2])
    assert "Person, Person2, Seal, and Person, Seal are expected" in reasons(
        office, path, people[:1]
    )


def test_the_seal_before_the_second_person_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    half = signed(office, tmp_path, people[:1], of=2)
    early = sign_anyhow(half, tmp_path / "b.pdf", office.organisation, field_name="Seal")
    path = sign_anyhow(early, tmp_path / "c.pdf", people[1], field_name="Person2")
    assert reasons(office, path, people[:2])


def test_a_third_signature_in_a_field_of_its_own_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    both = signed(office, tmp_path, people[:2])
    with both.open("rb") as original, (tmp_path / "b.pdf").open("wb") as output:
        writer = IncrementalPdfFileWriter(original)
        append_signature_field(writer, SigFieldSpec("Person3"))
        writer.write(output)  # type: ignore[no-untyped-call]
    third = sign_anyhow(tmp_path / "b.pdf", tmp_path / "c.pdf", people[2], field_name="Person3")
    path = sign_anyhow(third, tmp_path / "d.pdf", office.organisation, field_name="Seal")
    told = reasons(office, path, people[:2])
    assert "4 signatures, and 3 are expected" in told
    assert reasons(office, path, people)  # nor as one of three: the field came later


def test_a_field_that_came_later_than_the_certification_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    first = signed(office, tmp_path, people[:1])
    path = sign_anyhow(first, tmp_path / "b.pdf", people[1], field_name="Person2")
    with pytest.raises(IntegrityError, match="no field may come later"):
        validate_person_signed(
            path, office.roots, person=people[1].sha256, now=NOW,
            earlier=[Expected(people[0].sha256)], of=2,
        )  # fmt: skip
    told = reasons(office, sealed_anyhow(office, path), people[:2])
    assert "The fields were Person, Seal when the document was certified" in told


def sealed_anyhow(office: SigningOffice, source: Path) -> Path:
    target = source.with_name("anyhow.pdf")
    return sign_anyhow(source, target, office.organisation, field_name="Seal")


def test_each_person_signs_in_turn_only(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    half = signed(office, tmp_path, people[:1], of=3)
    stamped, target = tmp_path / "stamped.pdf", tmp_path / "b.pdf"
    for source, slot, code in [
        (half, Slot(1, 3), "already-signed"),
        (half, Slot(3, 3), "not-signed"),
        (half, Slot(2, 2), "not-signed"),
        (stamped, Slot(2, 3), "not-signed"),
    ]:
        with pytest.raises(ConflictError) as caught:
            sign_person(source, target, people[1], now=NOW, slot=slot)
        assert caught.value.code == code
    sign_person(half, target, people[1], now=NOW, slot=Slot(2, 3))
    with pytest.raises(ConflictError) as caught:
        sign_person(target, tmp_path / "c.pdf", people[1], now=NOW, slot=Slot(2, 3))
    assert caught.value.code == "already-signed"


def test_a_half_signed_file_is_judged_as_that(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    path = signed(office, tmp_path, people[:2], of=3)
    first = [Expected(people[0].sha256)]
    second = people[1].sha256
    report = validate_person_signed(path, office.roots, person=second, now=NOW, earlier=first, of=3)
    assert [one.field for one in report.signatures] == ["Person", "Person2"]
    wrong: list[tuple[list[Expected], str, int]] = [
        (first, second, 2), (first, people[2].sha256, 3), ([], second, 3),
        ([Expected(people[2].sha256)], second, 3), ([*first, *first], second, 3),
    ]  # fmt: skip
    for before, newest, of in wrong:
        with pytest.raises(IntegrityError) as caught:
            validate_person_signed(
                path, office.roots, person=newest, now=NOW, earlier=before, of=of
            )
        assert caught.value.code == "signature-not-valid"


def test_a_page_changed_between_two_persons_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    from tests.service.test_signing_tampering import rewrite_page, updated

    half = signed(office, tmp_path, people[:1], of=2)
    changed = updated(half, tmp_path / "b.pdf", rewrite_page)
    sign_person(changed, tmp_path / "c.pdf", people[1], now=NOW, slot=Slot(2, 2))
    with pytest.raises(IntegrityError):
        validate_person_signed(
            tmp_path / "c.pdf", office.roots, person=people[1].sha256, now=NOW,
            earlier=[Expected(people[0].sha256)], of=2,
        )  # fmt: skip
    path = seal(tmp_path / "c.pdf", tmp_path / "d.pdf", office.organisation, now=NOW).path
    assert "5 versions, and 4 are expected" in reasons(office, path, people[:2])
