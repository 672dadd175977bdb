"""Persons sign one PDF in any order, each in the place that is theirs: real files, and forged ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pikepdf
import pytest

from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.signing.appearance import Look, Looks
from docflow.signing.identity import SignerIdentity
from docflow.signing.pades import Slot, seal, sign_person
from docflow.signing.pictures import Picture
from docflow.signing.plan import Anchor
from docflow.signing.strict import Expected, SignedFile, validate_person_signed, validate_release
from tests.service.signing_office import SigningOffice
from tests.unit.signing.forge import NOW, run
from tests.unit.signing.test_signing_appearance import RED, seen, square, turned

PLACES = tuple(Anchor(page=-1, x_mm=x, y_mm=y) for y in (60, 120, 180) for x in (40, 120))
COLOURS = ((0, 0, 255), (0, 160, 0), (160, 0, 160), (0, 160, 160), (90, 90, 90))
ORDERS = [
    *(order for count in (2, 3) for order in permutations(range(count))),
    *((3, 0, 2, 1), (2, 3, 1, 0), (1, 0, 3, 2)),
    *((4, 2, 0, 3, 1), (1, 4, 3, 0, 2), (4, 3, 2, 1, 0)),
]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def people(office: SigningOffice) -> list[SignerIdentity]:
    made = [office.forge.identity(office.folder / f"o{n}.p12", "person") for n in range(4)]
    return [office.person, *made]


def look_of(office: SigningOffice, person: int) -> Look:
    return Look(office.fonts, Picture.of(square((*COLOURS[person], 255)), 20, f"p{person}"))


def slots_of(order: Sequence[int]) -> list[int]:
    """Return in which field each signs: the first in the first, the others as the workflow lists them."""
    first, *others = order
    listed = [first, *sorted(others)]
    return [listed.index(person) + 1 for person in order]


def looks_of(office: SigningOffice, order: Sequence[int]) -> Looks:
    """Return what the first one's update makes: every box in the place of its person."""
    first, *others = order
    listed = [first, *sorted(others)]
    return Looks(
        look_of(office, first), PLACES[first], Look(office.fonts, RED_SEAL),
        later_at=tuple(PLACES[person] for person in sorted(others)),
        seal_beside=listed.index(0) + 1, alike=True,
    )  # fmt: skip


RED_SEAL = RED


def signed(
    office: SigningOffice, folder: Path, people: Sequence[SignerIdentity], order: Sequence[int]
) -> Path:
    path = office.stamped(folder / "stamped.pdf", turned(0))
    filled: tuple[int, ...] = ()
    for person, slot in zip(order, slots_of(order), strict=True):
        looks = Looks(look_of(office, person)) if filled else looks_of(office, order)
        target = folder / f"signed-{len(filled) + 1}.pdf"
        where = Slot(slot, len(order), filled)
        sign_person(path, target, people[person], now=NOW, looks=looks, slot=where)
        validate_person_signed(
            target, office.roots, person=people[person].sha256, now=NOW, of=len(order), slot=slot,
            earlier=[
                Expected(people[one].sha256, slot=at)
                for one, at in zip(order, filled, strict=False)
            ],
        )  # fmt: skip
        path, filled = target, (*filled, slot)
    return path


def sealed(office: SigningOffice, path: Path) -> Path:
    look = Look(office.fonts, RED_SEAL)
    return seal(path, path.with_name("sealed.pdf"), office.organisation, now=NOW, look=look).path


def validated(
    office: SigningOffice, path: Path, people: Sequence[SignerIdentity], order: Sequence[int]
) -> SignedFile:
    first, *others = [
        Expected(people[person].sha256, slot=slot)
        for person, slot in zip(order, slots_of(order), strict=True)
    ]
    return validate_release(
        path, office.roots, person=first.certificate, seal=office.organisation.sha256, now=NOW,
        others=others,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pages() -> dict[int, set[str]]:
    """By how many sign, the digests of what their pages look like."""
    return {}


@pytest.mark.parametrize("order", ORDERS, ids=["-".join(map(str, order)) for order in ORDERS])
def test_whoever_comes_when_everyone_is_in_their_place_and_the_page_is_the_same(
    office: SigningOffice,
    people: list[SignerIdentity],
    tmp_path: Path,
    order: tuple[int, ...],
    pages: dict[int, set[str]],
) -> None:
    half = signed(office, tmp_path, people, order)
    path = validated(office, sealed(office, half), people, order).path
    said = run("pdfsig", "-nocert", path)
    assert said.count("Signature is Valid") == len(order) + 1
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", path)
    before, after = (boxes(tmp_path / name) for name in ("signed-1.pdf", "sealed.pdf"))
    assert before == after  # nothing moved
    digest = hashlib.sha256(seen(path).tobytes()).hexdigest()
    pages.setdefault(len(order), set()).add(digest)
    assert pages[len(order)] == {digest}


def boxes(path: Path) -> dict[str, list[float]]:
    with pikepdf.open(path) as pdf:
        return {str(f.T): [float(one) for one in f.Rect] for f in pdf.Root.AcroForm.Fields}


def test_empty_boxes_show_nothing(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    signed(office, tmp_path, people, (2, 0, 1))
    with pikepdf.open(tmp_path / "signed-1.pdf") as pdf:
        drawn = {str(f.T): "/AP" in f for f in pdf.Root.AcroForm.Fields}
    alone = tmp_path / "alone.pdf"
    looks = replace(looks_of(office, (2, 0, 1)), later_at=(), seal=None, seal_beside=1)
    sign_person(tmp_path / "stamped.pdf", alone, people[2], now=NOW, looks=looks)
    assert drawn["Person"]
    assert seen(tmp_path / "signed-1.pdf").tobytes() == seen(alone).tobytes()


def test_a_signature_in_the_place_of_another_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    half = signed(
        office, tmp_path, people, (0, 2, 1)
    )  # the third before the second, each in their place
    path = sealed(office, half)
    with pytest.raises(IntegrityError) as caught:
        validate_release(
            path, office.roots, person=people[0].sha256, seal=office.organisation.sha256, now=NOW,
            others=[Expected(people[2].sha256), Expected(people[1].sha256)],
        )  # fmt: skip
    told = " ".join(caught.value.extra["reasons"])
    assert "The personal signature 2 is in the field Person3, and belongs in Person2." in told


@pytest.mark.parametrize("others", [(1, 2), (2, 1, 2), (1,)])
def test_people_in_another_order_than_they_signed_are_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path, others: tuple[int, ...]
) -> None:
    path = sealed(office, signed(office, tmp_path, people, (0, 2, 1)))
    slots = {1: 2, 2: 3}
    with pytest.raises(IntegrityError):
        validate_release(
            path, office.roots, person=people[0].sha256, seal=office.organisation.sha256, now=NOW,
            others=[Expected(people[one].sha256, slot=slots[one]) for one in others],
        )  # fmt: skip


def test_a_place_that_is_filled_is_not_signed_again(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    signed(office, tmp_path, people, (0, 2, 1))
    half = tmp_path / "signed-2.pdf"  # the second field is empty, the third is signed
    with pytest.raises(ConflictError, match="Person3 is signed") as caught:
        sign_person(half, tmp_path / "x.pdf", people[1], now=NOW, slot=Slot(3, 3))
    assert caught.value.code == "already-signed"
    with pytest.raises(ConflictError, match="exactly those before it") as caught:
        sign_person(half, tmp_path / "x.pdf", people[1], now=NOW, slot=Slot(2, 3, (1,)))
    assert caught.value.code == "not-signed"
    with pytest.raises(ConflictError, match="can be sealed") as caught:
        seal(half, tmp_path / "x.pdf", office.organisation, now=NOW)
    assert caught.value.code == "not-signed"


@pytest.mark.parametrize(
    ("number", "filled"), [(1, (2,)), (2, ()), (2, (1, 2)), (4, (1,)), (2, (1, 9))]
)
def test_a_place_that_no_file_has_is_no_place(number: int, filled: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="personal signature"):
        Slot(number, 3, filled)
