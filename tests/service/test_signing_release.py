import asyncio
import dataclasses
import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ec

from docflow.kernel.errors import ConflictError, InvalidInputError
from docflow.signing.keysigner import SigningKey
from docflow.signing.pades import seal, sign_person
from docflow.signing.report import PASSED, VerificationReport
from docflow.signing.strict import SignedFile, validate_person_signed
from docflow.signing.trust import TrustRoots
from docflow.signing.validate import verify
from tests.service.signing_office import URL, SigningOffice, contents, ranges
from tests.unit.signing.forge import NOW, make_pdf, rsa_key, run

ALGORITHMS: dict[str, tuple[SigningKey, ...]] = {
    "P-256": (),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())),
    "RSA-PSS 3072": (rsa_key(), rsa_key()),
}


@pytest.fixture(scope="module", params=ALGORITHMS)
def office(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"), *ALGORITHMS[request.param])


@pytest.fixture(scope="module")
def plain_office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def released(office: SigningOffice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return office.sealed(tmp_path_factory.mktemp("released"))


class TestReleased:
    def test_it_passes_the_gate(self, office: SigningOffice, released: Path) -> None:
        signed = office.validate(released)
        data = released.read_bytes()
        assert signed.sha256 == hashlib.sha256(data).hexdigest()
        assert signed.size_bytes == len(data)
        assert signed.person.signer == "Nguyễn Thị Lan"
        assert signed.seal.signer == "Sở Nội vụ tỉnh Lam Giang"
        assert (signed.person.claimed_reason, signed.person.claimed_location) == (
            "Duyệt ban hành", "Lam Giang",
        )  # fmt: skip
        assert signed.person.signed_at == signed.seal.signed_at == signed.validated_at == NOW

    def test_poppler_finds_both_valid_and_the_seal_over_everything(self, released: Path) -> None:
        first, second = run("pdfsig", released, check=False).split("Signature #")[1:]
        for one in (first, second):
            assert "Signature is Valid." in one
            assert "ETSI.CAdES.detached" in one
        assert "Not total document signed" in first
        assert "  - Total document signed" in second
        assert "Field Name: Person" in first
        assert "Field Name: Seal" in second

    def test_qpdf_finds_no_fault(self, released: Path) -> None:
        assert "No syntax or stream encoding errors" in run("qpdf", "--check", released)

    def test_openssl_verifies_both_signatures(
        self, office: SigningOffice, released: Path, tmp_path: Path
    ) -> None:
        data = released.read_bytes()
        (tmp_path / "root.pem").write_text(office.roots.to_pem())
        for (start, end), (a, b, c, d) in zip(contents(data), ranges(data), strict=True):
            (tmp_path / "cms.der").write_bytes(bytes.fromhex(data[start:end].decode()))
            (tmp_path / "content").write_bytes(data[a : a + b] + data[c : c + d])
            printed = run(
                "openssl", "cms", "-verify", "-binary", "-inform", "DER",
                "-in", tmp_path / "cms.der", "-content", tmp_path / "content",
                "-CAfile", tmp_path / "root.pem", "-purpose", "any",
                "-attime", str(int(NOW.timestamp())), "-out", tmp_path / "out",
            )  # fmt: skip
            assert "successful" in printed

    def test_the_code_is_still_read(self, released: Path, tmp_path: Path) -> None:
        picture = tmp_path / "page"
        run("pdftoppm", "-r", "150", "-singlefile", "-png", released, picture)
        assert URL in run("zbarimg", "-q", "--raw", picture.with_suffix(".png"))

    def test_it_is_pades_baseline_b(self, released: Path) -> None:
        data = released.read_bytes()
        assert data.count(b"/SubFilter /ETSI.CAdES.detached") == 2
        assert b"/Cert " not in data
        for start, end in contents(data):
            message = cms.ContentInfo.load(bytes.fromhex(data[start:end].decode()))["content"]
            (info,) = message["signer_infos"]
            kinds = sorted(one["type"].native for one in info["signed_attrs"])
            assert kinds == ["content_type", "message_digest", "signing_certificate_v2"]
            assert message["encap_content_info"]["content"].native is None
            assert len(message["certificates"]) == 2  # signer and authority, without the root

    def test_the_persons_bytes_stay_as_they_were(self, released: Path) -> None:
        before = (released.parent / "person.pdf").read_bytes()
        assert released.read_bytes().startswith(before)

    def test_the_report_survives_json(self, office: SigningOffice, released: Path) -> None:
        report = verify(released, TrustRoots(()), now=NOW, own_roots=office.roots)
        assert report.indication == PASSED
        assert [one.ours for one in report.signatures] == [True, True]
        assert VerificationReport.from_dict(report.to_dict()) == report


class TestGate:
    def test_nobody_else_makes_a_signed_file(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        signed = plain_office.validate(plain_office.sealed(tmp_path))
        values = {f.name: getattr(signed, f.name) for f in dataclasses.fields(signed)}
        for key in (None, object()):
            with pytest.raises(TypeError, match="validate_release"):
                SignedFile(**values, key=key)
        with pytest.raises((TypeError, ValueError)):
            dataclasses.replace(signed, sha256="0" * 64)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            pickle.dumps(signed)
        with pytest.raises(dataclasses.FrozenInstanceError):
            signed.sha256 = "0" * 64  # type: ignore[misc]

    def test_a_personally_signed_file_passes_its_own_gate(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        path = plain_office.signed(tmp_path)
        report = validate_person_signed(
            path, plain_office.roots, person=plain_office.person.sha256, now=NOW
        )
        assert report.signatures[0].coverage == "entire-file"
        assert report.field_names == ("Person", "Seal")


class TestSigning:
    def test_it_works_inside_a_running_loop(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        async def work() -> Path:
            return plain_office.sealed(tmp_path)

        assert plain_office.validate(asyncio.run(work())).path.exists()

    def test_eight_threads_may_share_the_signers(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        def one(number: int) -> SignedFile:
            folder = tmp_path / str(number)
            folder.mkdir()
            return plain_office.validate(plain_office.sealed(folder))

        with ThreadPoolExecutor(8) as pool:
            assert len({one.sha256 for one in pool.map(one, range(16))}) == 16

    def test_what_is_told_is_what_lies_there(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        source = plain_office.stamped(tmp_path / "a.pdf")
        told = sign_person(source, tmp_path / "b.pdf", plain_office.person, now=NOW)
        data = (tmp_path / "b.pdf").read_bytes()
        assert (told.sha256, told.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (told.signer, told.signed_at) == ("Nguyễn Thị Lan", NOW)
        assert told.certificate_sha256 == plain_office.person.sha256

    def test_an_identity_signs_only_as_what_it_is(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        source = plain_office.stamped(tmp_path / "a.pdf")
        with pytest.raises(ValueError, match="person"):
            sign_person(source, tmp_path / "b.pdf", plain_office.organisation, now=NOW)
        with pytest.raises(ValueError, match="organisation"):
            seal(source, tmp_path / "b.pdf", plain_office.person, now=NOW)
        with pytest.raises(ValueError, match="offset"):
            sign_person(
                source, tmp_path / "b.pdf", plain_office.person, now=NOW.replace(tzinfo=None)
            )

    def test_the_order_is_kept(self, plain_office: SigningOffice, tmp_path: Path) -> None:
        path = plain_office.sealed(tmp_path)
        person, organisation = plain_office.person, plain_office.organisation
        out = tmp_path / "out.pdf"
        for attempt, code in (
            (lambda: seal(tmp_path / "stamped.pdf", out, organisation, now=NOW), "not-signed"),
            (lambda: seal(path, out, organisation, now=NOW), "already-sealed"),
            (lambda: sign_person(path, out, person, now=NOW), "already-signed"),
            (lambda: sign_person(tmp_path / "person.pdf", out, person, now=NOW), "already-signed"),
        ):
            with pytest.raises(ConflictError) as caught:
                attempt()
            assert caught.value.code == code
            assert not out.exists()

    @pytest.mark.parametrize("damage", [b"", b"%PDF-1.7\n", make_pdf()[:-60], b"junk" + make_pdf()])
    def test_a_broken_file_is_refused_and_nothing_left(
        self, plain_office: SigningOffice, tmp_path: Path, damage: bytes
    ) -> None:
        (tmp_path / "a.pdf").write_bytes(damage)
        with pytest.raises(InvalidInputError) as caught:
            sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", plain_office.person, now=NOW)
        assert caught.value.code == "pdf-broken"
        assert not (tmp_path / "b.pdf").exists()

    def test_every_kind_of_page_keeps_its_number_of_pages(
        self, plain_office: SigningOffice, tmp_path: Path
    ) -> None:
        path = plain_office.sealed(tmp_path, make_pdf(pages=40))
        assert run("qpdf", "--show-npages", path).strip() == "40"
        assert plain_office.validate(path).path == path
