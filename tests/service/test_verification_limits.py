"""What is no fault of a file's format: digests, armour; and what is bounded: meshes of authorities."""

import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import algos, cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from docflow.signing.report import INDETERMINATE, PASSED, VerificationReport
from docflow.signing.trust import TrustRoots, to_asn1
from docflow.signing.verifying import searching
from docflow.signing.verifying.dispatch import verify_any
from tests.envelope_support import rsa_key
from tests.pki_support import START, LivePki
from tests.service.test_verification import DATA
from tests.service.test_verification_strength import cades_by
from tests.unit.signing.forge import Forge, Recipe, make_pdf, run
from tests.verification_support import Maker, written

NOBODY = TrustRoots(())
SHAKE = "2.16.840.1.101.3.4.2.12"


def verdict(
    folder: Path, made: bytes, roots: TrustRoots = NOBODY, data: bytes | None = DATA
) -> VerificationReport:
    path = written(folder, "signature.p7s", made)
    beside = written(folder, "data", data) if data is not None else None
    return verify_any(path, roots, now=START, own_roots=NOBODY, data=beside)


class TestDigests:
    @pytest.mark.parametrize(
        ("oid", "named"), [(SHAKE, "shake256"), ("1.2.643.7.1.1.2.2", "1.2.643.7.1.1.2.2")]
    )
    @pytest.mark.parametrize("mechanism", [None, "1.3.6.1.5.5.7.6.33"], ids=["known", "its own"])
    @pytest.mark.parametrize("detached", [True, False])
    def test_one_that_nothing_is_verified_with_is_no_fault_of_the_format(
        self,
        oid: str,
        named: str,
        detached: bool,
        mechanism: str | None,
        pki: LivePki,
        tmp_path: Path,
    ) -> None:
        info = cms.ContentInfo.load(Maker(pki).cades(DATA, detached=detached))
        info["content"]["signer_infos"][0]["digest_algorithm"] = {"algorithm": oid}
        info["content"]["digest_algorithms"] = [{"algorithm": oid}]
        if mechanism is not None:
            info["content"]["signer_infos"][0]["signature_algorithm"] = {"algorithm": mechanism}
        report = verdict(tmp_path, info.dump(force=True), data=DATA if detached else None)
        assert (report.indication, report.sub_indication) == (
            INDETERMINATE, "CRYPTO_CONSTRAINTS_FAILURE",
        )  # fmt: skip
        (one,) = report.signatures
        assert one.signer  # who says to have signed is told all the same
        assert f"the digest {named}, which the algorithm policy does not accept" in one.reasons[0]
        assert "Indeterminate" not in one.reasons[0]

    def test_a_timestamp_over_one_is_judged_the_same(self, pki: LivePki, tmp_path: Path) -> None:
        info = cms.ContentInfo.load(Maker(pki).token(DATA))
        stamp: Any = info["content"]["encap_content_info"]["content"].parsed
        imprint = tsp.MessageImprint(
            {
                "hash_algorithm": algos.DigestAlgorithm({"algorithm": SHAKE}),
                "hashed_message": b"\0" * 64,
            }
        )
        stamp["message_imprint"] = imprint
        info["content"]["encap_content_info"]["content"] = cms.ParsableOctetString(
            stamp.dump(force=True)
        )
        report = verdict(tmp_path, info.dump(force=True))
        assert report.indication != PASSED
        assert report.sub_indication != "FORMAT_FAILURE"


class TestArmour:
    @pytest.mark.parametrize("cipher", ["-aes256", "-aes-256-gcm"])
    @pytest.mark.parametrize("label", ["CMS", "PKCS7"])
    def test_an_encrypted_message_in_pem_is_called_that(
        self, cipher: str, label: str, tmp_path: Path
    ) -> None:
        pem, sealed = tmp_path / "recipient.pem", tmp_path / "a.pem"
        made = Forge().issue(Recipe(key=rsa_key(), usage=None))
        pem.write_bytes(made.certificate.public_bytes(Encoding.PEM))
        plain = written(tmp_path, "a.pdf", make_pdf())
        out = ("-out", sealed, "-outform", "PEM", "-binary")
        run("openssl", "cms", "-encrypt", cipher, "-in", plain, *out, pem)
        told = sealed.read_bytes().replace(b"CMS-----", f"{label}-----".encode())
        for content in (told, b"\r\n" + told.replace(b"\n", b"\r\n")):
            report = verdict(tmp_path, content, data=None)
            assert (report.indication, report.sub_indication) == (
                INDETERMINATE, "SIGNED_DATA_NOT_FOUND",
            )  # fmt: skip
            assert "an encrypted message (CMS)" in report.reasons[0]

    def test_a_signature_in_pem_is_judged_as_before(self, pki: LivePki, tmp_path: Path) -> None:
        der = Maker(pki).cades(DATA)
        text = base64.encodebytes(der)
        armoured = b"-----BEGIN CMS-----\n" + text + b"-----END CMS-----\n"
        roots = TrustRoots((pki.certificate("root"),))
        assert verdict(tmp_path, armoured, roots).indication == PASSED

    def test_broken_armour_is_a_fault_of_the_format(self, tmp_path: Path) -> None:
        for body in (b"", b"%%%%\n", b"MIIB\n"):
            made = b"-----BEGIN CMS-----\n" + body + b"-----END CMS-----\n"
            assert verdict(tmp_path, made, data=None).sub_indication == "FORMAT_FAILURE"


class Mesh:
    """Authorities each of which has certified every other one, and somebody whom the first certified."""

    def __init__(self, count: int) -> None:
        self.keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(count)]
        self.signer = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue("Người ký", self.signer, 0, authority=False)
        self.crosses = [
            self._issue(f"CA {to}", self.keys[to], by)
            for to in range(count)
            for by in range(count)
            if by != to
        ]

    def root(self, number: int) -> x509.Certificate:
        return self._issue(f"CA {number}", self.keys[number], number)

    def _issue(
        self, name: str, key: ec.EllipticCurvePrivateKey, by: int, *, authority: bool = True
    ) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=not authority, content_commitment=not authority,
            key_cert_sign=authority, crl_sign=authority, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip

        def named(common: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(f"CA {by}"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START - timedelta(days=1))
            .not_valid_after(START + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.keys[by], hashes.SHA256())
        )

    def cades(self) -> bytes:
        """Return a detached signature that carries every certificate of the mesh."""
        info = cms.ContentInfo.load(cades_by(self.signer, self.certificate, "sha256"))
        for one in self.crosses:
            info["content"]["certificates"].append(
                cms.CertificateChoices("certificate", to_asn1(one))
            )
        return bytes(info.dump(force=True))


class TestMesh:
    def test_a_mesh_that_leads_nowhere_is_given_up_soon_and_says_why(self, tmp_path: Path) -> None:
        made = Mesh(12).cades()
        began = time.monotonic()
        report = verdict(tmp_path, made, TrustRoots((Mesh(1).root(0),)))
        assert time.monotonic() - began < 5
        assert (report.indication, report.sub_indication) == (
            INDETERMINATE, "CERTIFICATE_CHAIN_GENERAL_FAILURE",
        )  # fmt: skip
        assert searching.GIVEN_UP in report.signatures[0].reasons

    def test_a_mesh_whose_ways_to_the_root_are_all_bad_is_given_up_soon(
        self, tmp_path: Path
    ) -> None:
        mesh = Mesh(12)
        forged = Mesh(12)
        forged.signer, forged.certificate = mesh.signer, mesh.certificate  # names alike, keys not
        began = time.monotonic()
        report = verdict(tmp_path, forged.cades(), TrustRoots((forged.root(11),)))
        assert time.monotonic() - began < 10
        assert report.indication == INDETERMINATE

    def test_a_mesh_with_a_good_way_to_a_root_passes(self, tmp_path: Path) -> None:
        mesh = Mesh(6)
        for number in (0, 3):
            report = verdict(tmp_path, mesh.cades(), TrustRoots((mesh.root(number),)))
            assert report.indication == PASSED, report.signatures[0].reasons
