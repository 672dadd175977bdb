import dataclasses
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import NameObject, NumberObject, TextStringObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, append_signature_field

from docflow.kernel.errors import IntegrityError
from docflow.signing.pades import seal, sign_person
from docflow.signing.strict import validate_person_signed, validate_release
from docflow.signing.trust import TrustRoots
from docflow.signing.validate import verify
from tests.service.signing_office import SigningOffice, contents, ranges, sign_anyhow
from tests.unit.signing.forge import NOW, ORGANISATION, Forge, Recipe, make_pdf


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def released(office: SigningOffice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return office.sealed(tmp_path_factory.mktemp("released"))


def reasons(office: SigningOffice, path: Path) -> str:
    """Return why the gate refuses the file; it must."""
    with pytest.raises(IntegrityError) as caught:
        office.validate(path)
    # a changed byte may name another algorithm, which the policy does not accept
    assert caught.value.code in ("release-not-valid", "algorithm-out-of-policy")
    assert caught.value.extra["reasons"]
    return " ".join(caught.value.extra["reasons"])


def updated(source: Path, target: Path, change: Callable[[IncrementalPdfFileWriter], None]) -> Path:
    with source.open("rb") as original:
        writer = IncrementalPdfFileWriter(original)
        change(writer)
        with target.open("wb") as output:
            writer.write(output)  # type: ignore[no-untyped-call]
    return target


def rewrite_page(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    page[NameObject("/Rotate")] = NumberObject(90)  # type: ignore[no-untyped-call]
    writer.mark_update(page.container_ref)


def retitle(writer: IncrementalPdfFileWriter) -> None:
    writer.root[NameObject("/Lang")] = TextStringObject("vi")
    writer.update_root()  # type: ignore[no-untyped-call]


class TestBytes:
    def test_the_good_file_passes(self, office: SigningOffice, released: Path) -> None:
        assert office.validate(released).path == released

    @pytest.mark.parametrize("where", ["head", "page", "first signature", "between", "tail"])
    def test_a_flipped_byte_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path, where: str
    ) -> None:
        data = bytearray(released.read_bytes())
        (first, _), (second, _) = contents(bytes(data))
        place = {
            "head": 7,
            "page": data.index(b"/MediaBox") + 12,
            "first signature": first + 40,
            "between": second - 100,
            "tail": len(data) - 30,
        }[where]
        data[place] ^= 1
        (tmp_path / "a.pdf").write_bytes(data)
        reasons(office, tmp_path / "a.pdf")

    @settings(max_examples=120, deadline=None)
    @given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
    def test_no_change_of_any_covered_byte_passes(
        self,
        office: SigningOffice,
        released: Path,
        tmp_path_factory: pytest.TempPathFactory,
        place: float,
        value: int,
    ) -> None:
        data = bytearray(released.read_bytes())
        covered = ranges(bytes(data))[-1]
        offset = int(place * (covered[1] + covered[3]))
        index = offset if offset < covered[1] else covered[2] + offset - covered[1]
        data[index] = (data[index] + value) % 256
        path = tmp_path_factory.mktemp("flip") / "a.pdf"
        path.write_bytes(data)
        reasons(office, path)

    def test_nothing_hides_behind_the_seal(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        data = bytearray(released.read_bytes())
        _, (_, end) = contents(bytes(data))
        data[end - 4 : end] = b"beef"
        (tmp_path / "a.pdf").write_bytes(data)
        assert "which no signature covers" in reasons(office, tmp_path / "a.pdf")

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.9, 0.999])
    def test_a_truncated_file_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path, keep: float
    ) -> None:
        data = released.read_bytes()
        (tmp_path / "a.pdf").write_bytes(data[: int(keep * len(data))])
        reasons(office, tmp_path / "a.pdf")

    @pytest.mark.parametrize("tail", [b"\n", b" ", b"%%EOF\n", b"\0" * 100, b"x" * 2000])
    def test_a_longer_file_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path, tail: bytes
    ) -> None:
        (tmp_path / "a.pdf").write_bytes(released.read_bytes() + tail)
        reasons(office, tmp_path / "a.pdf")

    def test_the_same_pages_saved_anew_fail(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        with pikepdf.open(released) as pdf:
            pdf.save(tmp_path / "a.pdf")
        reasons(office, tmp_path / "a.pdf")


class TestUpdates:
    @pytest.mark.parametrize("change", [rewrite_page, retitle])
    def test_an_update_after_the_seal_fails(
        self,
        office: SigningOffice,
        released: Path,
        tmp_path: Path,
        change: Callable[[IncrementalPdfFileWriter], None],
    ) -> None:
        path = updated(released, tmp_path / "a.pdf", change)
        assert "4 versions" in reasons(office, path)
        report = verify(path, TrustRoots(()), now=NOW, own_roots=office.roots)
        assert report.indication == "TOTAL-FAILED"

    def test_an_update_between_person_and_seal_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        changed = updated(released.parent / "person.pdf", tmp_path / "a.pdf", rewrite_page)
        path = seal(changed, tmp_path / "b.pdf", office.organisation, now=NOW).path
        assert "Person is TOTAL-FAILED" in reasons(office, path)

    def test_a_third_signature_after_the_seal_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        path = sign_anyhow(released, tmp_path / "a.pdf", office.person, field_name="Third")
        found = reasons(office, path)
        assert "3 signatures" in found
        assert "Seal is TOTAL-FAILED" in found

    def test_an_empty_field_more_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        path = updated(
            released, tmp_path / "a.pdf",
            lambda writer: append_signature_field(writer, SigFieldSpec("Third")),
        )  # fmt: skip
        assert "Person, Seal, Third" in reasons(office, path)

    def test_a_file_changed_before_the_person_signed_is_not_one_of_ours(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        changed = updated(office.stamped(tmp_path / "a.pdf"), tmp_path / "b.pdf", retitle)
        signed = sign_person(changed, tmp_path / "c.pdf", office.person, now=NOW).path
        path = seal(signed, tmp_path / "d.pdf", office.organisation, now=NOW).path
        assert "not the first change" in reasons(office, path) or "versions" in reasons(
            office, path
        )


class TestSignatures:
    def test_an_unsigned_file_fails(self, office: SigningOffice, tmp_path: Path) -> None:
        assert "not signed" in reasons(office, office.stamped(tmp_path / "a.pdf"))

    def test_a_file_without_the_seal_fails(self, office: SigningOffice, tmp_path: Path) -> None:
        assert "1 signatures" in reasons(office, office.signed(tmp_path))

    def test_swapped_signers_fail(self, office: SigningOffice, tmp_path: Path) -> None:
        person = dataclasses.replace(office.organisation, kind="person")
        organisation = dataclasses.replace(office.person, kind="organisation")
        source = office.stamped(tmp_path / "a.pdf")
        signed = sign_person(source, tmp_path / "b.pdf", person, now=NOW).path
        path = seal(signed, tmp_path / "c.pdf", organisation, now=NOW).path
        found = reasons(office, path)
        assert "The personal signature is by Sở Nội vụ tỉnh Lam Giang" in found
        assert "The seal is by Nguyễn Thị Lan" in found

    def test_the_seal_of_another_certificate_fails(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        other = office.forge.identity(tmp_path / "other.p12", recipe=Recipe(ORGANISATION),
                                      kind="organisation")  # fmt: skip
        path = seal(office.signed(tmp_path), tmp_path / "b.pdf", other, now=NOW).path
        assert f"the certificate {office.organisation.sha256} is expected" in reasons(office, path)

    def test_the_same_names_under_another_root_fail(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        stranger = SigningOffice.make(tmp_path)
        path = stranger.sealed(tmp_path)
        assert stranger.validate(path).path == path
        assert "INDETERMINATE" in reasons(office, path)

    def test_two_personal_signatures_and_no_seal_fail(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        path = sign_anyhow(
            office.signed(tmp_path), tmp_path / "b.pdf", office.person, field_name="Seal"
        )
        assert "The seal is by Nguyễn Thị Lan" in reasons(office, path)

    def test_a_seal_that_locks_nothing_fails(self, office: SigningOffice, tmp_path: Path) -> None:
        def fields(writer: IncrementalPdfFileWriter) -> None:
            append_signature_field(writer, SigFieldSpec("Person"))
            append_signature_field(writer, SigFieldSpec("Seal"))

        source = updated(office.stamped(tmp_path / "a.pdf"), tmp_path / "b.pdf", fields)
        signed = sign_anyhow(
            source, tmp_path / "c.pdf", office.person, field_name="Person", certify=True,
            docmdp_permissions=MDPPerm.FILL_FORMS,
        )  # fmt: skip
        path = sign_anyhow(signed, tmp_path / "d.pdf", office.organisation, field_name="Seal")
        with pytest.raises(IntegrityError):
            office.validate(path)
        seal_only = verify(path, TrustRoots(()), now=NOW, own_roots=office.roots).signatures[-1]
        assert (seal_only.locks_all_fields, seal_only.permits) == (False, None)

    def test_a_person_who_does_not_certify_fails(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        source = office.stamped(tmp_path / "a.pdf")
        path = sign_anyhow(source, tmp_path / "b.pdf", office.person, field_name="Person")
        with pytest.raises(IntegrityError) as caught:
            validate_person_signed(path, office.roots, person=office.person.certificate, now=NOW)
        assert caught.value.code == "signature-not-valid"
        assert "signature fields" in caught.value.detail

    def test_another_person_than_expected_fails(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        other = office.forge.identity(tmp_path / "other.p12")
        with pytest.raises(IntegrityError, match="is expected"):
            validate_person_signed(
                office.signed(tmp_path), office.roots, person=other.certificate, now=NOW
            )

    @pytest.mark.parametrize("days", [-30, 400])
    def test_certificates_that_are_not_valid_at_the_time_fail(
        self, office: SigningOffice, released: Path, days: int
    ) -> None:
        with pytest.raises(IntegrityError, match="valid"):
            validate_release(
                released, office.roots, person=office.person.sha256,
                seal=office.organisation.sha256, now=NOW + timedelta(days=days),
            )  # fmt: skip

    def test_a_missing_file_is_not_a_bad_one(self, office: SigningOffice, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            office.validate(tmp_path / "none.pdf")

    def test_the_signature_of_another_file_fails(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        other = office.sealed(tmp_path, make_pdf("Điều 9", "Article 2", pages=2)).read_bytes()
        data = released.read_bytes()
        for index in (0, 1):
            (a, b), (c, d) = contents(data)[index], contents(other)[index]
            assert b - a == d - c
            (tmp_path / "a.pdf").write_bytes(data[:a] + other[c:d] + data[b:])
            assert "bytes were changed" in reasons(office, tmp_path / "a.pdf")


def test_a_stranger_may_sign_in_front_of_nobody(office: SigningOffice, tmp_path: Path) -> None:
    """A stream works as well as a path, and the verdict does not depend on the place."""
    path = office.sealed(tmp_path)
    by_path = verify(path, TrustRoots(()), now=NOW, own_roots=office.roots)
    by_stream = verify(BytesIO(path.read_bytes()), TrustRoots(()), now=NOW, own_roots=office.roots)
    assert by_path == by_stream
    assert verify(path, office.roots, now=NOW, own_roots=Forge().roots).signatures[0].ours is False
