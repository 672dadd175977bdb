import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from docflow.kernel.errors import ConfigurationError
from docflow.signing.identity import SignerIdentity, kind_of
from docflow.signing.trust import TrustRoots
from tests.unit.signing.forge import NOW, ORGANISATION, PASSPHRASE, Forge, Made, Recipe, rsa_key


def load(path: Path, forge: Forge, **changes: Any) -> SignerIdentity:
    given: dict[str, Any] = {
        "passphrase": PASSPHRASE,
        "roots": forge.roots,
        "now": NOW,
        "expect": "person",
        **changes,
    }
    return SignerIdentity.from_pkcs12(path, **given)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_identities_are_accepted(
    forge: Forge, signer_file: Path, curve: ec.EllipticCurve
) -> None:
    key = ec.generate_private_key(curve)
    identity = forge.identity(signer_file, key=key)
    assert identity.name == "Nguyễn Thị Lan"
    assert [link.subject for link in identity.chain] == [forge.authority.certificate.subject]
    assert len(identity.sha256) == 64


def test_an_rsa_identity_of_3072_bits_is_accepted(forge: Forge, signer_file: Path) -> None:
    identity = forge.identity(signer_file, "organisation", rsa_key())
    mechanism = identity.signer.signature_mechanism
    assert mechanism is not None
    assert mechanism["algorithm"].native == "rsassa_pss"


def test_nothing_secret_is_shown_or_leaves(forge: Forge, signer_file: Path) -> None:
    identity = forge.identity(signer_file)
    for shown in (repr(identity), str(identity), repr(identity.signer)):
        assert "key" not in shown.lower().replace("keysigner", "")
        assert PASSPHRASE.decode() not in shown
    for thing in (identity, identity.signer):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_the_signer_refuses_another_digest(forge: Forge, signer_file: Path) -> None:
    signer = forge.identity(signer_file).signer
    with pytest.raises(ValueError, match="sha256"):
        signer.async_sign_raw(b"x", "sha1").send(None)


def _plain(**changes: Any) -> Callable[[Forge, Path], Any]:
    def make(forge: Forge, path: Path) -> Any:
        return forge.pack(path, forge.issue(replace(Recipe(), **changes)))

    return make


def _no_key(forge: Forge, path: Path) -> None:
    store = pkcs12.serialize_key_and_certificates(
        b"x", None, None, [forge.authority.certificate], BestAvailableEncryption(PASSPHRASE)
    )
    path.write_bytes(store)


def _of_another_key(forge: Forge, path: Path) -> None:
    other = forge.issue(Recipe())
    key = ec.generate_private_key(ec.SECP256R1())
    store = pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(other.certificate, b"x")], BestAvailableEncryption(PASSPHRASE)
    )
    assert store  # a store without key is another fault; the pair below is the one meant
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", key, None, [other.certificate], BestAvailableEncryption(PASSPHRASE)
        )
    )


def _edwards(forge: Forge, path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", key, None, None, BestAvailableEncryption(PASSPHRASE)
        )
    )


def _signed_with_sha1(forge: Forge, path: Path) -> None:
    issuer = forge.issue(
        Recipe({NameOID.COMMON_NAME: "RSA authority"}, rsa_key(), authority=True), forge.root
    )
    made = forge.issue(Recipe(), issuer)
    der = made.certificate.public_bytes(Encoding.DER)
    sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    assert der.count(sha256) == 2
    forge.pack(path, Made(made.key, x509.load_der_x509_certificate(der.replace(sha256, sha1))))


def _self_made(forge: Forge, path: Path) -> None:
    forge.pack(path, forge.issue(Recipe(), self_made=True), chain=False)


def _without_chain(forge: Forge, path: Path) -> None:
    forge.pack(path, forge.issue(Recipe()), chain=False)


def _expired_authority(forge: Forge, path: Path) -> None:
    old = forge.issue(
        Recipe(
            {NameOID.COMMON_NAME: "Old authority"},
            authority=True,
            usage=frozenset({"key_cert_sign"}),
            valid_from=NOW - timedelta(days=9),
            valid_until=NOW - timedelta(days=1),
        ),
        forge.root,
    )
    made = forge.issue(Recipe(), old)
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", made.key, made.certificate, [old.certificate], BestAvailableEncryption(PASSPHRASE)
        )
    )


CITIZEN = {NameOID.COMMON_NAME: "Trần Văn Minh", NameOID.USER_ID: "CCCD:001090000001"}
COMPANY = {NameOID.COMMON_NAME: "Công ty X", NameOID.USER_ID: "MST:0100109106"}

FAULTS: dict[str, tuple[Callable[[Forge, Path], Any], str]] = {
    "missing": (lambda forge, path: None, "does not exist"),
    "a folder": (lambda forge, path: path.mkdir(), "cannot be read"),
    "empty": (lambda forge, path: path.write_bytes(b""), "is not a PKCS#12 file"),
    "text": (lambda forge, path: path.write_text("-----BEGIN"), "is not a PKCS#12 file"),
    "no key": (_no_key, "holds no private key"),
    "other key": (_of_another_key, "certificate of another key"),
    "edwards key": (_edwards, "neither ECDSA nor RSA"),
    "expired": (_plain(valid_until=NOW - timedelta(hours=1)), "expired on"),
    "not yet": (_plain(valid_from=NOW + timedelta(hours=1)), "valid only from"),
    "rsa 2048": (_plain(key=rsa_key(2048)), "RSA key of 2048 bits"),
    "small curve": (_plain(key=ec.generate_private_key(ec.SECP224R1())), "curve secp224r1"),
    "odd curve": (_plain(key=ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
    "sha-1": (_signed_with_sha1, "signed with sha1"),
    "no usage": (_plain(usage=None), "without key usage"),
    "other usage": (_plain(usage=frozenset({"key_encipherment"})), "may not sign"),
    "authority": (_plain(authority=True), "certificate of an authority"),
    "organisation": (_plain(subject=ORGANISATION), "an organisation"),
    "company": (_plain(subject=COMPANY), "an organisation"),
    "self-made": (_self_made, "chain to a configured root is not valid"),
    "no chain": (_without_chain, "does not lead to a configured root"),
    "old authority": (_expired_authority, "chain to a configured root is not valid"),
}


@pytest.mark.parametrize(("make", "expected"), FAULTS.values(), ids=FAULTS)
def test_every_fault_is_named_with_its_file(
    forge: Forge, signer_file: Path, make: Callable[[Forge, Path], Any], expected: str
) -> None:
    make(forge, signer_file)
    with pytest.raises(ConfigurationError) as caught:
        load(signer_file, forge)
    assert expected in caught.value.detail
    assert str(signer_file) in caught.value.detail
    assert caught.value.code == "signer-identity"
    assert PASSPHRASE.decode() not in caught.value.detail


def test_a_wrong_passphrase_is_told_from_a_broken_file(forge: Forge, signer_file: Path) -> None:
    forge.pack(signer_file, forge.issue(Recipe()))
    with pytest.raises(ConfigurationError, match="passphrase"):
        load(signer_file, forge, passphrase=b"wrong")


def test_a_person_is_not_taken_for_the_organisation(forge: Forge, signer_file: Path) -> None:
    forge.pack(signer_file, forge.issue(Recipe(CITIZEN)))
    with pytest.raises(ConfigurationError, match="the certificate of a person"):
        load(signer_file, forge, expect="organisation")


def test_no_roots_means_no_trust(forge: Forge, signer_file: Path) -> None:
    forge.pack(signer_file, forge.issue(Recipe()))
    with pytest.raises(ConfigurationError, match="does not lead"):
        load(signer_file, forge, roots=TrustRoots(()))


def test_the_root_of_another_organisation_means_no_trust(forge: Forge, signer_file: Path) -> None:
    forge.pack(signer_file, forge.issue(Recipe()))
    with pytest.raises(ConfigurationError, match="configured root"):
        load(signer_file, forge, roots=Forge().roots)


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        (Recipe().subject, "person"),
        (CITIZEN, "person"),
        (ORGANISATION, "organisation"),
        (COMPANY, "organisation"),
        ({NameOID.COMMON_NAME: "Ai đó"}, None),
    ],
)
def test_the_kind_is_read_from_the_subject(forge: Forge, subject: Any, kind: str | None) -> None:
    assert kind_of(forge.issue(Recipe(subject)).certificate) == kind
