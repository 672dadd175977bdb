"""Remote signing: a person's key at a trust service that speaks the CSC API v2."""

import base64
import hashlib
import ipaddress
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.signing.csc import RemoteCredential, RemoteOptions
from docflow.signing.cscaccess import Channel, Client, ClientCredentials
from docflow.signing.pades import seal, sign_person
from docflow.signing.signers import Signers
from docflow.signing.signersfile import signers_from_file
from docflow.signing.strict import validate_release
from tests.csc_server import Credential, CscServer, CscService, RefusalError
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
        assert "RemoteCredential" not in refused.value.detail
        assert f"'lan' at {server.url} " in refused.value.detail

    def test_an_answer_that_is_no_json_is_told_as_such(
        self, tmp_path: Path, server: CscServer
    ) -> None:
        server.service.misbehave = "garbage"
        with pytest.raises(ConfigurationError, match="is no JSON object"):
            RemoteCredential(options(tmp_path, server)).certificates()

    def test_a_service_of_another_authority_is_not_believed(
        self, tmp_path: Path, server: CscServer
    ) -> None:
        _, other = tls()
        (tmp_path / "ca.pem").write_bytes(other.public_bytes(Encoding.PEM))
        with pytest.raises(UnavailableError, match="is not trusted") as refused:
            RemoteCredential(options(tmp_path, server)).certificates()
        assert "`ca_file`" in str(refused.value.satisfied_by)
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


SECRET, CLIENT = "a secret: of 100% the client", "docflow@office"
ALGORITHM = {"signAlgo": "1.2.840.10045.4.3.2"}


@pytest.fixture
def oauth(server: CscServer, tmp_path: Path) -> CscServer:
    """The service, which now gives tokens to a client with a secret."""
    server.service.client = (CLIENT, SECRET)
    (tmp_path / "secret").write_text(SECRET + "\n")
    return server


def as_client(folder: Path, server: CscServer, **client: str) -> RemoteCredential:
    access = Client(CLIENT, folder / "secret", **client)
    return RemoteCredential(
        RemoteOptions(server.url, "lan", access, folder / "pin", folder / "ca.pem")
    )


def asked(server: CscServer) -> list[str]:
    return [path.rsplit("/", 1)[1] for path, _ in server.service.calls]


class TestClientCredentials:
    def test_a_token_is_asked_for_where_the_service_says_and_used_until_its_end(
        self, tmp_path: Path, forge: Forge, oauth: CscServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        entry = {"token_file": "", "client_id": CLIENT, "client_secret_file": "secret"}
        identity = load(tmp_path, forge, oauth, **entry).person(LOGIN, "", NOW)
        assert identity.signer.sign_bytes(b"x")
        assert identity.signer.sign_bytes(b"y")
        signing = ["authorize", "signHash"]
        assert asked(oauth) == ["info", "token", "info", *signing, *signing]
        (form,) = [body for path, body in oauth.service.calls if path == "/oauth2/token"]
        assert form == {
            "grant_type": ["client_credentials"], "client_id": [CLIENT], "scope": ["service"]
        }  # fmt: skip
        shown = caplog.text + repr(oauth.service.calls)
        for secret in (SECRET, *oauth.service.tokens):
            assert secret not in shown

    def test_the_endpoint_that_is_configured_is_asked_and_no_other(
        self, tmp_path: Path, oauth: CscServer
    ) -> None:
        oauth.service.base = "https://127.0.0.1:1"
        remote = as_client(tmp_path, oauth, token_url=oauth.url.replace("csc/v2", "oauth2/token"))
        assert remote.certificates()
        assert asked(oauth) == ["token", "info"]

    def test_a_token_that_the_service_no_longer_takes_is_replaced_once(
        self, tmp_path: Path, oauth: CscServer
    ) -> None:
        remote = as_client(tmp_path, oauth)
        assert remote.certificates()
        oauth.service.tokens.clear()
        oauth.service.calls.clear()
        assert remote.sign_hash("sha256", b"x" * 32, ALGORITHM)
        assert asked(oauth) == ["authorize", "token", "authorize", "signHash"]

    def test_a_service_that_takes_no_token_at_all_is_not_asked_for_ever(
        self, tmp_path: Path, oauth: CscServer
    ) -> None:
        oauth.service.token_seconds = 0.0  # over when it arrives, and said to be
        with pytest.raises(ConfigurationError, match="401 invalid_token"):
            as_client(tmp_path, oauth).certificates()
        assert asked(oauth) == ["info", "token", "info", "token", "info"]

    def test_a_token_is_not_used_at_its_very_end(self, tmp_path: Path, oauth: CscServer) -> None:
        now = [1000.0]
        channel = Channel(oauth.url, tmp_path / "ca.pem", 5.0)
        access = ClientCredentials(
            channel, Client(CLIENT, tmp_path / "secret"), clock=lambda: now[0]
        )
        first = access.token()
        now[0] += 3569
        assert access.token() == first
        now[0] += 2
        assert access.token() != first
        oauth.service.token_seconds = None  # not told: five minutes
        now[0] += 3600
        second = access.token()
        now[0] += 299
        assert access.token() != second

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"scope": "credential"}, "400 invalid_scope"),
            ({"secret": "another"}, "401 invalid_client"),
            ({"auth_types": ("basic",)}, "does not offer OAuth 2.0 client credentials"),
            ({"base": ""}, "name `token_url`"),
            ({"base": "http://sign.example"}, "not reached by https"),
            ({"base": "https://user:pw@sign.example"}, "not reached by https"),
        ],
    )
    def test_what_is_refused_is_told_without_the_secret(
        self, tmp_path: Path, oauth: CscServer, wrong: dict[str, Any], told: str
    ) -> None:
        given = dict(wrong)
        if "secret" in given:
            (tmp_path / "secret").write_text(given.pop("secret"))
        client = {"scope": given.pop("scope")} if "scope" in given else {}
        for name, value in given.items():
            setattr(oauth.service, name, value)
        with pytest.raises(ConfigurationError, match=told) as refused:
            as_client(tmp_path, oauth, **client).certificates()
        assert refused.value.code == "remote-signer-refused"
        shown = f"{refused.value!r} {refused.value.__dict__} {refused.value.__cause__}"
        assert SECRET not in shown
        assert "another" not in shown

    def test_a_token_of_another_scope_signs_nothing(self, tmp_path: Path, oauth: CscServer) -> None:
        oauth.service.scopes = frozenset({"service", "archive"})
        with pytest.raises(ConfigurationError, match="403 insufficient_scope"):
            as_client(tmp_path, oauth, scope="archive").certificates()

    def test_a_token_endpoint_that_is_away_is_waited_for(
        self, tmp_path: Path, oauth: CscServer
    ) -> None:
        remote = as_client(tmp_path, oauth, token_url="https://127.0.0.1:1/oauth2/token")
        with pytest.raises(UnavailableError):
            remote.certificates()

    def test_plain_http_to_a_token_endpoint_elsewhere_is_refused(
        self, tmp_path: Path, oauth: CscServer
    ) -> None:
        with pytest.raises(ConfigurationError, match="not reached by https"):
            as_client(tmp_path, oauth, token_url="http://sign.example/oauth2/token")

    @pytest.mark.parametrize(
        "entry",
        [
            {"token_file": ""},
            {"client_id": "x"},
            {"token_file": "", "client_id": "x"},
            {"client_id": "x", "client_secret_file": "secret"},
            {"token_url": "https://sign.example/oauth2/token"},
        ],
    )
    def test_either_a_token_or_a_client_is_named(
        self, tmp_path: Path, forge: Forge, oauth: CscServer, entry: dict[str, str]
    ) -> None:
        with pytest.raises(ConfigurationError, match="either token_file, or client_id"):
            load(tmp_path, forge, oauth, **entry)


class TestAuthorisation:
    def test_several_hashes_have_one_authorisation_as_far_as_the_credential_allows(
        self, tmp_path: Path, server: CscServer
    ) -> None:
        server.service.credentials["lan"].multisign = 3
        remote = RemoteCredential(options(tmp_path, server))
        (leaf, *_) = remote.certificates()
        server.service.calls.clear()
        messages = [f"document {number}".encode() for number in range(7)]
        digests = [hashlib.sha256(one).digest() for one in messages]
        signatures = remote.sign_hashes("sha256", digests, ALGORITHM)
        key = leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        for message, signature in zip(messages, signatures, strict=True):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        assert asked(server) == ["authorize", "signHash"] * 3
        bodies = [body for path, body in server.service.calls if path.endswith("authorize")]
        assert [body["numSignatures"] for body in bodies] == [3, 3, 1]
        assert [len(body["hashes"]) for body in bodies] == [3, 3, 1]

    def test_an_authorisation_is_for_its_hashes_alone_and_once(
        self, tmp_path: Path, server: CscServer
    ) -> None:
        remote = RemoteCredential(options(tmp_path, server))
        assert remote.sign_hash("sha256", b"x" * 32, ALGORITHM)
        (_, used) = server.service.calls[-1]
        for changed in ({}, {"hashes": [base64.b64encode(b"y" * 32).decode()]}):
            with pytest.raises(RefusalError):  # what a thief of it would try
                server.service.handle(
                    "/csc/v2/signatures/signHash", f"Bearer {TOKEN}", {**used, **changed}
                )

    def test_a_credential_without_a_second_factor_is_given_none(
        self, tmp_path: Path, server: CscServer
    ) -> None:
        server.service.credentials["lan"].auth = {"mode": "implicit"}
        remote = RemoteCredential(
            RemoteOptions(server.url, "lan", tmp_path / "token", None, tmp_path / "ca.pem")
        )
        assert remote.certificates()
        assert remote.sign_hash("sha256", b"x" * 32, ALGORITHM)

    @pytest.mark.parametrize(
        ("auth", "told"),
        [
            ({"mode": "oauth2code"}, "in its owner's browser"),
            ({"mode": "explicit", "expression": "PIN AND OTP"}, "one-time password"),
            ({"mode": "explicit", "objects": [{"id": "OTP"}]}, "one-time password"),
            ({"mode": "explicit", "expression": "PIN"}, "name its file with `pin_file`"),
        ],
    )
    def test_a_credential_that_asks_for_what_cannot_be_given_stops_the_start(
        self, tmp_path: Path, forge: Forge, server: CscServer, auth: dict[str, Any], told: str
    ) -> None:
        server.service.credentials["lan"].auth = auth
        with pytest.raises(ConfigurationError, match=told) as refused:
            load(tmp_path, forge, server, pin_file="")
        assert refused.value.code == "remote-signer-refused"


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


def test_the_line_of_a_broken_signers_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "signers.yaml"
    path.write_text("roots: [root.pem]\nseal: {pkcs12: seal.p12\npeople: {}\n")
    with pytest.raises(ConfigurationError, match="line 3, column"):
        signers_from_file(path, now=NOW)
