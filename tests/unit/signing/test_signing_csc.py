"""Remote signing: a person's key at a trust service that speaks the CSC API v2."""

import ipaddress
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.signing.csc import RemoteCredential, RemoteOptions
from docflow.signing.pades import seal, sign_person
from docflow.signing.signers import Signers
from docflow.signing.signersfile import signers_from_file
from docflow.signing.strict import validate_release
from tests.csc_server import Credential, CscServer, CscService
from tests.unit.signing.forge import (
    NOW,
    ORGANISATION,
    PASSPHRASE,
    Forge,
    Recipe,
    make_pdf,
    rsa_key,
    run,
)

LOGIN, PIN, TOKEN = "lan.nt", "314159", "an access token of the office"


@pytest.fixture
def server(tmp_path: Path, forge: Forge) -> Iterator[CscServer]:
    made = forge.issue(Recipe())
    chain = [made.certificate, forge.authority.certificate]
    credentials = {"lan": Credential(made.key, chain, PIN)}
    key, certificate = tls()
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "pin").write_text(PIN + "\n")
    (tmp_path / "token").write_text(TOKEN + "\n")
    with CscServer(CscService(credentials, TOKEN), key, certificate, tmp_path) as server:
        yield server


def tls() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A TLS certificate of today for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "remote signing")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def options(folder: Path, server: CscServer, timeout: float = 20.0) -> RemoteOptions:
    return RemoteOptions(
        server.url, "lan", folder / "token", folder / "pin", folder / "ca.pem", timeout
    )


def load(folder: Path, forge: Forge, server: CscServer, **person: str) -> Signers:
    forge.pack(folder / "seal.p12", forge.issue(Recipe(ORGANISATION)))
    (folder / "seal.pass").write_bytes(PASSPHRASE)
    (folder / "root.pem").write_bytes(forge.root.certificate.public_bytes(Encoding.PEM))
    entry = {
        "csc": server.url, "credential": "lan", "token_file": "token", "pin_file": "pin",
        "ca_file": "ca.pem", **person,
    }  # fmt: skip
    listed = ", ".join(f"{name}: {value!r}" for name, value in entry.items() if value)
    path = folder / "signers.yaml"
    path.write_text(
        "roots: [root.pem]\nseal: {pkcs12: seal.p12, passphrase_file: seal.pass}\n"
        f"people:\n  {LOGIN}: {{{listed}}}\n"
    )
    return signers_from_file(path, now=NOW)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_a_remote_key_signs_what_independent_tools_call_valid(
    tmp_path: Path, forge: Forge, server: CscServer, kind: str
) -> None:
    if kind != "p256":
        key = rsa_key() if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
        made = forge.issue(Recipe(key=key))
        chain = [made.certificate, forge.authority.certificate]
        server.service.credentials["lan"] = Credential(key, chain, PIN)
    signers = load(tmp_path, forge, server)
    source, personal, released = (tmp_path / f"{name}.pdf" for name in ("a", "b", "c"))
    source.write_bytes(make_pdf("Quyết định"))
    identity, sealing = signers.person(LOGIN, "", NOW), signers.seal(NOW)
    sign_person(source, personal, identity, now=NOW)
    seal(personal, released, sealing, now=NOW)
    validate_release(
        released, signers.own_roots, person=identity.sha256, seal=sealing.sha256, now=NOW
    )
    assert run("pdfsig", "-nocert", released).count("Signature is Valid") == 2
    paths = [path.rsplit("/", 1)[1] for path, _ in server.service.calls]
    assert paths == ["info", "authorize", "signHash"]  # one authorisation, for one hash
    authorised, signed = (body for _, body in server.service.calls[1:])
    assert authorised["hashes"] == signed["hashes"]
    assert "PIN" not in str(signed)


def test_with_certificates_in_a_file_the_service_is_not_asked_at_the_start(
    tmp_path: Path, forge: Forge, server: CscServer
) -> None:
    chain = server.service.credentials["lan"].certificates
    (tmp_path / "lan.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in chain))
    server.service.misbehave = "down"
    signers = load(tmp_path, forge, server, certificates="lan.pem")
    assert server.service.calls == []
    identity = signers.person(LOGIN, "", NOW)
    with pytest.raises(UnavailableError):
        identity.signer.sign_bytes(b"x")
    server.service.misbehave = ""
    assert identity.signer.sign_bytes(b"x")


def test_the_certificate_of_another_key_signs_nothing(
    tmp_path: Path, forge: Forge, server: CscServer
) -> None:
    other = [forge.issue(Recipe()).certificate, forge.authority.certificate]
    (tmp_path / "lan.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in other))
    identity = load(tmp_path, forge, server, certificates="lan.pem").person(LOGIN, "", NOW)
    with pytest.raises(ConfigurationError, match="not by the certificate's key"):
        identity.signer.sign_bytes(b"x")


class TestTrouble:
    @pytest.mark.parametrize(
        ("how", "kind", "code"),
        [
            ("slow", UnavailableError, "remote-signer-unavailable"),
            ("down", UnavailableError, "remote-signer-unavailable"),
            ("huge", ConfigurationError, "remote-signer-refused"),
            ("garbage", ConfigurationError, "remote-signer-refused"),
            ("redirect", ConfigurationError, "remote-signer-refused"),
            ("none", ConfigurationError, "remote-signer-refused"),
        ],
    )
    def test_a_service_that_misbehaves_is_told_apart_from_one_that_is_away(
        self,
        tmp_path: Path,
        server: CscServer,
        how: str,
        kind: type[Exception],
        code: str,
    ) -> None:
        remote = RemoteCredential(options(tmp_path, server, 0.5))
        server.service.misbehave = how
        with pytest.raises(kind) as refused:
            remote.sign_hash("sha256", b"x" * 32, {"signAlgo": "1.2.840.10045.4.3.2"})
        assert refused.value.code == code  # type: ignore[attr-defined]
        told = f"{refused.value!r} {refused.value.__dict__} {refused.value.__cause__}"
        assert PIN not in told
        assert TOKEN not in told

    def test_a_signature_that_is_none_is_refused(
        self, tmp_path: Path, forge: Forge, server: CscServer
    ) -> None:
        identity = load(tmp_path, forge, server).person(LOGIN, "", NOW)
        server.service.misbehave = "wrong"
        with pytest.raises(ConfigurationError) as refused:
            identity.signer.sign_bytes(b"x")
        assert refused.value.code == "remote-signer-refused"

    def test_a_service_of_another_authority_is_not_believed(
        self, tmp_path: Path, server: CscServer
    ) -> None:
        _, other = tls()
        (tmp_path / "ca.pem").write_bytes(other.public_bytes(Encoding.PEM))
        with pytest.raises(UnavailableError):
            RemoteCredential(options(tmp_path, server)).certificates()
        assert server.service.calls == []

    def test_plain_http_to_another_machine_is_refused(self, tmp_path: Path) -> None:
        remote = RemoteOptions("http://sign.example/csc/v2", "lan", tmp_path / "token")
        with pytest.raises(ConfigurationError, match="not reached by https"):
            RemoteCredential(remote)

    def test_nobody_listens(self, tmp_path: Path, server: CscServer) -> None:
        remote = RemoteCredential(
            RemoteOptions("https://127.0.0.1:1/csc/v2", "lan", tmp_path / "token")
        )
        with pytest.raises(UnavailableError):
            remote.certificates()

    def test_a_disabled_key_stops_the_start(
        self, tmp_path: Path, forge: Forge, server: CscServer
    ) -> None:
        server.service.credentials["lan"].status = "disabled"
        with pytest.raises(ConfigurationError, match="not enabled"):
            load(tmp_path, forge, server)

    def test_a_wrong_token_is_refused(self, tmp_path: Path, server: CscServer) -> None:
        (tmp_path / "token").write_text("another")
        with pytest.raises(ConfigurationError, match="401 invalid_token"):
            RemoteCredential(options(tmp_path, server)).certificates()


class TestPin:
    def test_a_refused_pin_is_sent_once_until_its_file_changes(
        self, tmp_path: Path, server: CscServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        remote = RemoteCredential(options(tmp_path, server))
        (tmp_path / "pin").write_text("999999")
        algorithm = {"signAlgo": "1.2.840.10045.4.3.2"}
        for _ in range(6):  # the service locks after three
            with pytest.raises(ConfigurationError) as refused:
                remote.sign_hash("sha256", b"x" * 32, algorithm)
            assert refused.value.code == "signer-pin-refused"
            assert "999999" not in f"{refused.value!r} {refused.value.__dict__}"
        assert server.service.credentials["lan"].wrong == 1
        (tmp_path / "pin").write_text(PIN)
        os.utime(tmp_path / "pin", (1, 1))
        assert remote.sign_hash("sha256", b"x" * 32, algorithm)
        assert PIN not in caplog.text
        assert TOKEN not in caplog.text

    def test_a_locked_pin_is_told(self, tmp_path: Path, server: CscServer) -> None:
        server.service.credentials["lan"].wrong = 3
        with pytest.raises(ConfigurationError, match="locked_pin"):
            RemoteCredential(options(tmp_path, server)).sign_hash(
                "sha256", b"x" * 32, {"signAlgo": "1.2.840.10045.4.3.2"}
            )
