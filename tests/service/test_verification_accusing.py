"""Whose word on revocation counts: not that of the future, nor of whoever put a list into a file."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from docflow.signing.report import SignatureReport
from docflow.signing.trust import to_asn1
from docflow.signing.verifying.dispatch import verify_any
from docflow.signing.verifying.questions import Fetched
from docflow.signing.verifying.terms import Policy
from tests.pki_support import START, LivePki
from tests.service.test_verification import NOBODY, Judge
from tests.verification_support import Maker, written
from tests.xades_support import XadesMaker

DATA = b"quyet dinh"
LATER = START + timedelta(days=40)  # lists are made anew every 30 days
OLD = START - timedelta(days=90)
REVOKED_AT = START - timedelta(days=100)
REVOKED = ("INDETERMINATE", "REVOKED_NO_POE")
PASSED = ("TOTAL-PASSED", None)


def verdict(one: SignatureReport) -> tuple[str, str | None]:
    return one.indication, one.sub_indication


class Voices:
    """Speaks of the revocation of `person`, in the voice of its issuer or of others."""

    def __init__(self, folder: Path, pki: LivePki) -> None:
        self.folder = folder
        self.pki = pki
        self.person = pki.certificate("person")
        self.authority = pki.certificate("authority")
        self.stranger = ec.generate_private_key(ec.SECP256R1())

    def key(self, label: str) -> ec.EllipticCurvePrivateKey:
        found = load_pem_private_key((self.pki.folder / f"{label}.pem").read_bytes(), None)
        assert isinstance(found, ec.EllipticCurvePrivateKey)
        return found

    def crl(self, key: ec.EllipticCurvePrivateKey, at: datetime = OLD) -> bytes:
        entry = x509.RevokedCertificateBuilder(self.person.serial_number, REVOKED_AT).build()
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.authority.subject)
            .last_update(at)
            .next_update(at + timedelta(days=7))
            .add_revoked_certificate(entry)
            .sign(key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.DER)

    def answer(
        self,
        key: ec.EllipticCurvePrivateKey,
        *,
        issuer: x509.Certificate | None = None,
        responder: x509.Certificate | None = None,
        at: datetime = OLD,
    ) -> bytes:
        builder = ocsp.OCSPResponseBuilder().add_response(
            self.person,
            issuer or self.authority,
            hashes.SHA256(),
            ocsp.OCSPCertStatus.REVOKED,
            at,
            at + timedelta(days=7),
            REVOKED_AT,
            None,
        )
        by = responder or self.authority
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by)
        if responder is not None:
            builder = builder.certificates([responder])
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def named(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        by: str,
        *purposes: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        """Return a certificate that `by` issues."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.pki.certificate(by).subject)
            .public_key(key.public_key())
            .serial_number(4711)
            .not_valid_before(START - timedelta(days=900))
            .not_valid_after(START + timedelta(days=900))
        )
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        return builder.sign(self.key(by), hashes.SHA256())

    def judged(
        self,
        *,
        lists: tuple[bytes, ...] = (),
        answers: tuple[bytes, ...] = (),
        certificates: tuple[x509.Certificate, ...] = (),
    ) -> SignatureReport:
        """Judge a signature that carries these."""
        info = cms.ContentInfo.load(Maker(self.pki).cades(DATA))
        info["content"]["crls"] = [
            *(
                cms.RevocationInfoChoice({"crl": asn1_crl.CertificateList.load(one)})
                for one in lists
            ),
            *(
                cms.RevocationInfoChoice(
                    {
                        "other": {
                            "other_rev_info_format": "ocsp_response",
                            "other_rev_info": asn1_ocsp.OCSPResponse.load(one),
                        }
                    }
                )
                for one in answers
            ),
        ]
        info["content"]["certificates"] = [
            *info["content"]["certificates"],
            *(cms.CertificateChoices({"certificate": to_asn1(one)}) for one in certificates),
        ]
        judge = Judge(self.folder, self.pki)
        (one,) = judge(info.dump(), data=DATA).signatures
        return one


@pytest.fixture
def voices(tmp_path: Path, pki: LivePki) -> Voices:
    return Voices(tmp_path, pki)


class TestWhoAccuses:
    def test_the_issuer_does_though_what_it_says_is_stale(self, voices: Voices) -> None:
        key = voices.key("authority")
        assert verdict(voices.judged(lists=(voices.crl(key),))) == REVOKED
        assert verdict(voices.judged(answers=(voices.answer(key),))) == REVOKED

    def test_whoever_puts_a_list_or_an_answer_into_a_file_does_not(self, voices: Voices) -> None:
        forged = voices.judged(lists=(voices.crl(voices.stranger),))
        assert (*verdict(forged), forged.revocation) == (*PASSED, "unknown")
        mask = voices.named(voices.stranger, voices.authority.subject, "stranger-root")
        answer = voices.answer(voices.stranger, responder=mask)
        assert verdict(voices.judged(answers=(answer,))) == PASSED

    def test_a_key_with_the_issuers_name_does_only_if_the_path_certifies_it(
        self, voices: Voices
    ) -> None:
        lists = (voices.crl(voices.stranger),)
        name = voices.authority.subject
        certified = voices.named(voices.stranger, name, "root")
        assert verdict(voices.judged(lists=lists, certificates=(certified,))) == REVOKED
        claimed = voices.named(voices.stranger, name, "stranger-root")
        assert verdict(voices.judged(lists=lists, certificates=(claimed,))) == PASSED

    def test_a_responder_does_only_if_the_issuer_named_it_for_that(self, voices: Voices) -> None:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "OCSP")])
        purpose = ExtendedKeyUsageOID.OCSP_SIGNING
        for issuer, purposes, expected in (
            ("authority", (purpose,), REVOKED),
            ("authority", (ExtendedKeyUsageOID.EMAIL_PROTECTION,), PASSED),
            ("stranger-root", (purpose,), PASSED),
        ):
            responder = voices.named(voices.stranger, name, issuer, *purposes)
            answer = voices.answer(voices.stranger, responder=responder)
            assert verdict(voices.judged(answers=(answer,))) == expected

    def test_an_answer_about_the_same_number_of_another_authority_does_not(
        self, voices: Voices
    ) -> None:
        other = voices.pki.certificate("tsa-authority")
        answer = voices.answer(voices.key("authority"), issuer=other)
        assert verdict(voices.judged(answers=(answer,))) == PASSED


class TestFromTheFuture:
    @pytest.mark.parametrize("kind", ["pdf", "cades", "xades"])
    def test_what_was_issued_then_acquits_nobody(
        self, kind: str, pki: LivePki, tmp_path: Path
    ) -> None:
        makers: dict[str, Callable[[], bytes]] = {
            "pdf": lambda: Maker(pki).pdf("B-LT"),
            "cades": lambda: Maker(pki).cades(DATA, revocation=True, detached=False),
            "xades": lambda: XadesMaker(pki).asic({"a.txt": DATA}, revocation=True, answer=True),
        }
        pki.now = lambda: LATER
        made = makers[kind]()
        judge = Judge(tmp_path, pki)
        (one,) = judge(made, LATER).signatures
        assert (*verdict(one), one.revocation) == (*PASSED, "good")
        (one,) = judge(made, START).signatures
        assert (*verdict(one), one.revocation) == (*PASSED, "unknown")
        (one,) = judge(made, START, policy=Policy(revocation="required")).signatures
        assert verdict(one) == ("INDETERMINATE", "TRY_LATER")

    def test_it_does_not_accuse_either(self, voices: Voices) -> None:
        key = voices.key("authority")
        assert verdict(voices.judged(lists=(voices.crl(key, LATER),))) == PASSED
        assert verdict(voices.judged(answers=(voices.answer(key, at=LATER),))) == PASSED


@pytest.mark.parametrize("by", ["answer", "list"])
def test_who_is_revoked_is_told_though_of_the_authority_nothing_is_known(
    by: str, voices: Voices
) -> None:
    key = voices.key("authority")
    at = START - timedelta(hours=1)
    fetched = (
        Fetched(answers=(voices.answer(key, at=at),))
        if by == "answer"
        else Fetched(lists=(voices.crl(key, at),))
    )
    report = verify_any(
        written(voices.folder, "file", Maker(voices.pki).cades(DATA, detached=False)),
        voices.pki.roots,
        now=START,
        own_roots=NOBODY,
        policy=Policy(revocation="required"),
        fetched=fetched,
    )
    (one,) = report.signatures
    assert (*verdict(one), one.revocation) == (*REVOKED, "revoked")
