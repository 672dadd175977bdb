"""Algorithms that the policy does not list prove nothing, and the report names them."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto.keys import PrivateKeyInfo
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyhanko.sign.signers import SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from docflow.signing.trust import TrustRoots, to_asn1
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.terms import Policy
from tests.pki_support import START, LivePki
from tests.service.test_verification import DATA, Judge

BREAKABLE = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


def self_made(key: Any, digest: Any = None, *, authority_key: Any = None) -> tuple[Any, Any]:
    """Return the certificate of a signer, and of the root that issued it with this digest."""
    root_key = authority_key or ec.generate_private_key(ec.SECP256R1())
    made = []
    for name, public, with_digest in (
        ("Gốc", root_key.public_key(), hashes.SHA256()),
        ("Người ký", key.public_key(), digest or hashes.SHA256()),
    ):
        usage = x509.KeyUsage(
            digital_signature=name != "Gốc", content_commitment=name != "Gốc",
            key_cert_sign=name == "Gốc", crl_sign=name == "Gốc", key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made.append(
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gốc")]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(START - timedelta(days=1))
            .not_valid_after(START + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=name == "Gốc", path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(root_key, with_digest)
        )
    return made[1], made[0]


def cades_by(key: Any, certificate: x509.Certificate, digest: str) -> bytes:
    signer = SimpleSigner(
        signing_cert=to_asn1(certificate),
        signing_key=PrivateKeyInfo.load(
            key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        ),
        cert_registry=SimpleCertificateStore(),  # type: ignore[no-untyped-call]
    )
    made = asyncio.run(signer.async_sign_general_data(DATA, digest, detached=True, use_cades=True))
    return bytes(made.dump())


class TestAlgorithms:
    @pytest.mark.parametrize(
        ("key", "digest", "shown"),
        [
            (ed25519.Ed25519PrivateKey.generate(), "sha512", "Ed25519, SHA-512"),
            (ec.generate_private_key(ec.SECP256K1()), "sha256", "ECDSA secp256k1, SHA-256"),
            (BREAKABLE, "sha256", "RSA 1024 (PKCS#1 v1.5), SHA-256"),
        ],
        ids=["ed25519", "secp256k1", "rsa-1024"],
    )
    def test_what_the_policy_does_not_list_proves_nothing_and_is_named(
        self, judge: Judge, key: Any, digest: str, shown: str
    ) -> None:
        certificate, root = self_made(key)
        report = judge(cades_by(key, certificate, digest), data=DATA, roots=TrustRoots((root,)))
        assert report.indication == "INDETERMINATE"
        assert str(report.sub_indication).startswith("CRYPTO_CONSTRAINTS_FAILURE")
        (one,) = report.signatures
        assert (one.algorithm, one.strength) == (shown, "weak")
        assert one.reasons[0] == f"It uses {shown}, which the algorithm policy does not accept."

    def test_an_operator_may_list_it(self, judge: Judge) -> None:
        plain = shipped_policy().to_dict()
        for name in ("ed25519", "ecdsa-secp256k1"):
            plain["keys"].append({"algorithm": name, "bits": 1, "unlisted": True})
        policy = Policy(algorithms=AlgorithmPolicy.from_data(plain))
        for key, digest in (
            (ed25519.Ed25519PrivateKey.generate(), "sha512"),
            (ec.generate_private_key(ec.SECP256K1()), "sha256"),
        ):
            certificate, root = self_made(key)
            made = cades_by(key, certificate, digest)
            report = judge(made, data=DATA, roots=TrustRoots((root,)), policy=policy)
            assert (report.indication, report.signatures[0].strength) == ("TOTAL-PASSED", "unknown")

    def test_a_weak_chain_is_named(self, judge: Judge) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, root = self_made(key, authority_key=BREAKABLE)
        made = cades_by(key, certificate, "sha256")
        report = judge(made, data=DATA, roots=TrustRoots((root,)))
        assert report.indication == "INDETERMINATE"
        (one,) = report.signatures
        assert "Its chain uses RSA 1024 (PKCS#1 v1.5), SHA-256." in one.reasons[0]
