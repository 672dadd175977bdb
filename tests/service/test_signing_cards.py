"""A card's signature at every level, judged by tools and functions that docflow did not write."""

import base64
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from pyhanko.pdf_utils import generic
from pyhanko.sign.ades.report import AdESPassed

from docflow.kernel.errors import ConflictError, IntegrityError, OutsideUnavailableError
from docflow.signing.ades import levels_reached
from docflow.signing.embedding import add_evidence
from docflow.signing.finishing import evidence_apart, finish_person
from docflow.signing.identity import SignerIdentity
from docflow.signing.interrupted import Prepared, prepare_person
from docflow.signing.levels import LEVELS, Level, for_person
from docflow.signing.longterm import LongTerm
from docflow.signing.offered import card_identity
from docflow.signing.outside.revocation import Evidence
from docflow.signing.pades import PersonSigned, Slot, seal, sign_person
from docflow.signing.room import adds_evidence_only
from docflow.signing.strict import Expected, SignedFile, validate_person_signed, validate_release
from docflow.signing.trust import to_asn1
from docflow.signing.update import update_of
from tests.levels_support import card_of, longterm
from tests.pki_support import START, LivePki
from tests.service.test_signing_levels import by_openssl, by_pyhanko
from tests.unit.signing.forge import make_pdf, run

LATER = START + timedelta(hours=3)  # an authority was away for so long
PERSON_LEVELS: tuple[Level, ...] = LEVELS[:3]


def identity_of(pki: LivePki, label: str = "person") -> SignerIdentity:
    chain = x509.load_pem_x509_certificates(card_of(pki, label).pem.encode())
    return card_identity("The card", chain, roots=pki.roots, now=pki.now())


def prepared(
    pki: LivePki, source: Path, target: Path, makes: LongTerm | None, slot: Slot | None = None,
    label: str = "person",
) -> tuple[Prepared, bytes]:  # fmt: skip
    """Prepare a file and have the card sign it; its room is for a time stamp if `makes` is given."""
    found = prepare_person(
        source, target, identity_of(pki, label), now=START, slot=slot or Slot(),
        token_digits=makes.token_digits(START) if makes else 0,
    )  # fmt: skip
    return found, base64.b64decode(card_of(pki, label).sign_digest(found.to_sign))


def finished(
    pki: LivePki, folder: Path, level: Level, makes: LongTerm, *, at: datetime = START,
    source: Path | None = None, slot: Slot | None = None, label: str = "person",
) -> PersonSigned:  # fmt: skip
    """Sign with a card and finish at `at`."""
    if source is None:
        source = folder / "a.pdf"
        source.write_bytes(make_pdf("Điều 1", pages=2))
    number = slot.number if slot else 1
    ready, target = folder / f"ready{number}.pdf", folder / f"signed{number}.pdf"
    found, signature = prepared(pki, source, ready, None if level == "B-B" else makes, slot, label)
    pki.now = lambda: at
    return finish_person(
        ready, target, identity_of(pki, label), found, signature,
        signed_at=START, now=at, level=level, longterm=makes,
    )  # fmt: skip


def gate(pki: LivePki, path: Path, person: Level, seal_: Level, **more: object) -> SignedFile:
    return validate_release(
        path, pki.roots, person=pki.certificate("person"), seal=pki.certificate("seal"),
        now=pki.now(), person_level=person, seal_level=seal_,
        person_evidence_apart=evidence_apart(person), **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_of_a_card_is_what_it_says_to_everyone(
    either: LivePki, tmp_path: Path, level: Level
) -> None:
    pki, makes = either, longterm(either)
    person = for_person(level)
    signed = finished(pki, tmp_path, person, makes, at=LATER)
    assert (signed.level, signed.signed_at) == (person, START)
    assert (signed.stamped_at, signed.authority) == (
        (None, None) if level == "B-B" else (LATER, "tsa")
    )
    validate_person_signed(
        signed.path, pki.roots, person=pki.certificate("person"), now=LATER, level=person,
        evidence_apart=evidence_apart(person),
    )  # fmt: skip
    assert run("pdfsig", "-nocert", signed.path).count("Signature is Valid") == 1
    by_openssl(pki, signed.path, tmp_path)
    assert by_pyhanko(pki, signed.path, person) == [AdESPassed.OK]
    sealed = seal(signed.path, tmp_path / "c.pdf", pki.identity("seal", "organisation"), now=LATER,
                  level=level, longterm=makes)  # fmt: skip
    assert run("pdfsig", "-nocert", sealed.path).count("Signature is Valid") == 2
    run("qpdf", "--check", sealed.path)
    by_openssl(pki, sealed.path, tmp_path)
    assert by_pyhanko(pki, sealed.path, level) == [AdESPassed.OK] * 2
    reached = levels_reached(sealed.path, pki.roots, now=LATER)
    assert [one.level for one in reached] == [level, level]
    assert gate(pki, sealed.path, person, level).person_level == person


@pytest.mark.parametrize("level", PERSON_LEVELS)
def test_cards_and_keys_of_the_service_sign_one_file_in_turn(
    pki: LivePki, tmp_path: Path, level: Level
) -> None:
    makes, apart = longterm(pki), evidence_apart(level)
    first = finished(pki, tmp_path, level, makes, slot=Slot(1, 3))
    second = tmp_path / "key.pdf"
    sign_person(
        first.path, second, pki.identity("person-second", "person"), now=START, level=level,
        longterm=makes, slot=Slot(2, 3),
    )  # fmt: skip
    third = finished(
        pki, tmp_path, level, makes, source=second, slot=Slot(3, 3), label="person-third", at=LATER
    )
    others = [
        Expected(pki.certificate("person-second"), level),
        Expected(pki.certificate("person-third"), level, apart),
    ]
    validate_person_signed(
        third.path, pki.roots, person=pki.certificate("person-third"), now=LATER, level=level,
        evidence_apart=apart, of=3,
        earlier=[Expected(pki.certificate("person"), level, apart), others[0]],
    )  # fmt: skip
    sealed = seal(third.path, tmp_path / "c.pdf", pki.identity("seal", "organisation"), now=LATER,
                  level="B-LTA", longterm=makes)  # fmt: skip
    gate(pki, sealed.path, level, "B-LTA", others=others)
    assert run("pdfsig", "-nocert", sealed.path).count("Signature is Valid") == 4
    reached = levels_reached(sealed.path, pki.roots, now=LATER)
    # the archive time stamp proves when one without a time stamp of its own existed
    assert [one.level for one in reached] == ["B-LTA"] * 4
    if apart:
        wrong = [others[0], Expected(pki.certificate("person-third"), level)]
        with pytest.raises(IntegrityError, match="versions"):
            gate(pki, sealed.path, level, "B-LTA", others=wrong)


def test_the_next_authority_stamps_in_the_same_room_and_the_evidence_is_about_it(
    pki: LivePki, tmp_path: Path
) -> None:
    makes = longterm(pki, "tsa-second", "tsa")
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    found, signature = prepared(pki, tmp_path / "a.pdf", tmp_path / "b.pdf", makes)
    pki.now = lambda: LATER

    def finish() -> PersonSigned:
        return finish_person(
            tmp_path / "b.pdf", tmp_path / "c.pdf", identity_of(pki), found, signature,
            signed_at=START, now=LATER, level="B-LT", longterm=makes,
        )  # fmt: skip

    with pki.fails("/tsa/", "away"), pytest.raises(OutsideUnavailableError) as caught:
        finish()
    assert caught.value.code == "tsa-unavailable"
    assert not (tmp_path / "c.pdf").exists()
    with pki.fails("tsa/tsa-second", "away"):
        made = finish()
    assert made.authority == "tsa"
    assert by_pyhanko(pki, made.path, "B-LT") == [AdESPassed.OK]
    (reached,) = levels_reached(made.path, pki.roots, now=LATER)
    assert reached.level == "B-LT"


def test_a_responder_that_is_away_costs_no_time_stamp(pki: LivePki, tmp_path: Path) -> None:
    makes = longterm(pki)
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    found, signature = prepared(pki, tmp_path / "a.pdf", tmp_path / "b.pdf", makes)
    asked = pki.asked("tsa/tsa")
    with pki.fails("ocsp", "away"), pki.fails("crls/", "away"):
        with pytest.raises(OutsideUnavailableError) as caught:
            finish_person(
                tmp_path / "b.pdf", tmp_path / "c.pdf", identity_of(pki), found, signature,
                signed_at=START, now=START, level="B-LT", longterm=makes,
            )  # fmt: skip
    assert caught.value.code == "revocation-unavailable"
    assert pki.asked("tsa/tsa") == asked
    assert (tmp_path / "c.pdf").read_bytes() == b""


def test_the_room_is_the_same_whether_the_authority_is_away_or_not(
    pki: LivePki, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    there, _ = prepared(pki, tmp_path / "a.pdf", tmp_path / "b.pdf", longterm(pki))
    with pki.fails("/tsa/", "away"):
        away, _ = prepared(pki, tmp_path / "a.pdf", tmp_path / "c.pdf", longterm(pki))
    assert there.end - there.start == away.end - away.start
    bare, _ = prepared(pki, tmp_path / "a.pdf", tmp_path / "d.pdf", None)
    assert (there.end - there.start) - (bare.end - bare.start) == 2 * 12 * 1024


def test_a_time_stamp_that_does_not_fit_is_refused_and_nothing_is_cut_off(
    pki: LivePki, tmp_path: Path
) -> None:
    makes = longterm(pki)
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    found, signature = prepared(pki, tmp_path / "a.pdf", tmp_path / "b.pdf", None)  # no room
    options = {"signed_at": START, "now": START, "longterm": makes}
    with pytest.raises(ConflictError, match="bytes more than the file has room for") as caught:
        finish_person(tmp_path / "b.pdf", tmp_path / "c.pdf", identity_of(pki), found, signature,
                      level="B-T", **options)  # type: ignore[arg-type]  # fmt: skip
    assert caught.value.code == "stamp-too-large"
    assert (tmp_path / "c.pdf").read_bytes() == b""
    finish_person(tmp_path / "b.pdf", tmp_path / "c.pdf", identity_of(pki), found, signature,
                  level="B-B", **options)  # type: ignore[arg-type]  # fmt: skip
    with pytest.raises(IntegrityError, match="reaches B-B"):
        validate_person_signed(tmp_path / "c.pdf", pki.roots, person=pki.certificate("person"),
                               now=START, level="B-T")  # fmt: skip


def test_a_revoked_card_makes_no_long_term_signature(pki: LivePki, tmp_path: Path) -> None:
    with pytest.raises(ConflictError) as caught:
        finished(pki, tmp_path, "B-LT", longterm(pki), label="revoked")
    assert caught.value.code == "signer-revoked"


def test_the_gate_refuses_an_update_between_that_is_more_than_evidence(
    pki: LivePki, tmp_path: Path
) -> None:
    makes = longterm(pki)
    signed = finished(pki, tmp_path, "B-T", makes, slot=Slot(1, 2))
    told = {"person": pki.certificate("person"), "now": START, "level": "B-T", "of": 2}
    validate_person_signed(signed.path, pki.roots, **told)  # type: ignore[arg-type]
    evidence, meddled = tmp_path / "evidence.pdf", tmp_path / "meddled.pdf"
    with signed.path.open("rb") as file:
        writer = update_of(file)
        chain = x509.load_pem_x509_certificates(card_of(pki).pem.encode())
        add_evidence(writer, Evidence(tuple(map(to_asn1, chain)), (), (), LATER))
        with evidence.open("wb") as output:
            writer.write(output)  # type: ignore[no-untyped-call]
        fields = [one.get_object() for one in writer.root["/AcroForm"]["/Fields"]]
        empty = next(one for one in fields if one["/T"] == "Person2")
        empty["/V"] = generic.NullObject()  # something else, which form filling admits
        writer.update_container(empty)
        with meddled.open("wb") as output:
            writer.write(output)  # type: ignore[no-untyped-call]
    assert [adds_evidence_only(path, 2) for path in (evidence, meddled)] == [True, False]
    validate_person_signed(evidence, pki.roots, evidence_apart=True, **told)  # type: ignore[arg-type]
    for path, apart in ((evidence, False), (meddled, True), (meddled, False), (signed.path, True)):
        with pytest.raises(IntegrityError):
            validate_person_signed(path, pki.roots, evidence_apart=apart, **told)  # type: ignore[arg-type]
