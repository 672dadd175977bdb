"""Signer identities in a PKCS#11 token, with SoftHSM 2 (Debian: softhsm2) as the token."""

import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.signing.keysigner import verifies
from docflow.signing.pades import seal, sign_person
from docflow.signing.signers import Signers
from docflow.signing.signersfile import signers_from_file
from docflow.signing.strict import validate_release
from docflow.signing.token import SigningToken, secret_from_file
from tests.token_support import PIN, empty_tokens, make_token, module, put_key
from tests.unit.signing.forge import (
    NOW,
    ORGANISATION,
    PASSPHRASE,
    Forge,
    Made,
    Recipe,
    make_pdf,
    rsa_key,
    run,
)

TOKEN = "docflow-signers"
LOGIN = "lan.nt"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty token; gives the folder that its files are in."""
    with empty_tokens(tmp_path / "softhsm", monkeypatch):
        make_token(TOKEN)
        (tmp_path / "pin").write_text(PIN + "\n")
        yield tmp_path


def put(folder: Path, forge: Forge, label: str, made: Made) -> Made:
    put_key(folder, TOKEN, label, made.key, made.certificate, forge.authority.certificate)
    return made


def signers_file(folder: Path, forge: Forge, **person: str) -> Path:
    """A signers file: the seal as PKCS#12, one person in the token."""
    forge.pack(folder / "seal.p12", forge.issue(Recipe(ORGANISATION)))
    (folder / "seal.pass").write_bytes(PASSPHRASE)
    pem = forge.root.certificate.public_bytes(Encoding.PEM)
    (folder / "root.pem").write_bytes(pem)
    entry = {"pkcs11": str(module()), "token": TOKEN, "key": LOGIN, "pin_file": "pin", **person}
    listed = ", ".join(f"{name}: {value!r}" for name, value in entry.items())
    path = folder / "signers.yaml"
    path.write_text(
        "roots: [root.pem]\nseal: {pkcs12: seal.p12, passphrase_file: seal.pass}\n"
        f"people:\n  {LOGIN}: {{{listed}}}\n"
    )
    return path


def load(folder: Path, forge: Forge, **person: str) -> Signers:
    return signers_from_file(signers_file(folder, forge, **person), now=NOW)


def signed_and_sealed(folder: Path, signers: Signers, now: datetime = NOW) -> Path:
    source, personal, released = (folder / f"{name}.pdf" for name in ("a", "b", "c"))
    source.write_bytes(make_pdf("Quyết định"))
    identity = signers.person(LOGIN, "", now)
    sign_person(source, personal, identity, now=now)
    sealing = signers.seal(now)
    seal(personal, released, sealing, now=now)
    proof = validate_release(
        released, signers.own_roots, person=identity.certificate, seal=sealing.sha256, now=now
    )
    assert proof.person.signer == identity.name
    return released


@pytest.mark.parametrize("key", ["rsa", "p256", "p384"])
def test_a_key_in_a_token_signs_what_independent_tools_call_valid(
    token: Path, forge: Forge, key: str
) -> None:
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1}
    made = rsa_key() if key == "rsa" else ec.generate_private_key(curves[key]())
    put(token, forge, LOGIN, forge.issue(Recipe(key=made)))
    released = signed_and_sealed(token, load(token, forge))
    said = run("pdfsig", "-nocert", released)
    assert said.count("Signature is Valid") == 2


def test_the_certificate_may_lie_in_a_file(token: Path, forge: Forge) -> None:
    made = forge.issue(Recipe())
    put_key(token, TOKEN, LOGIN, made.key)
    pem = b"".join(
        c.public_bytes(Encoding.PEM) for c in (made.certificate, forge.authority.certificate)
    )
    (token / "lan.pem").write_bytes(pem)
    signers = load(token, forge, certificates="lan.pem")
    assert signers.person(LOGIN, "", NOW).certificate == made.certificate
    with pytest.raises(ConfigurationError, match="no certificates labelled"):
        load(token, forge)


def test_a_key_that_is_not_the_certificates_stops_the_start(token: Path, forge: Forge) -> None:
    put_key(
        token,
        TOKEN,
        LOGIN,
        ec.generate_private_key(ec.SECP256R1()),
        forge.issue(Recipe()).certificate,
        forge.authority.certificate,
    )
    with pytest.raises(ConfigurationError, match="is not the key of the certificate") as refused:
        load(token, forge)
    assert refused.value.code == "signer-token-key"


def test_two_keys_of_one_label_are_not_guessed_between(token: Path, forge: Forge) -> None:
    made = put(token, forge, LOGIN, forge.issue(Recipe()))
    (token / "lan.pem").write_bytes(
        b"".join(
            c.public_bytes(Encoding.PEM) for c in (made.certificate, forge.authority.certificate)
        )
    )
    with (
        pkcs11.lib(str(module()))
        .get_token(token_label=TOKEN)
        .open(rw=True, user_pin=PIN) as session
    ):
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        parameters.generate_keypair(store=True, label=LOGIN)
    with pytest.raises(ConfigurationError, match="2 private keys"):
        load(token, forge, certificates="lan.pem")


class TestLogin:
    def test_a_wrong_pin_stops_the_start_and_is_never_shown(
        self, token: Path, forge: Forge, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        put(token, forge, LOGIN, forge.issue(Recipe()))
        (token / "pin").write_text("999999")
        with pytest.raises(ConfigurationError) as refused:
            load(token, forge)
        assert refused.value.code == "signer-pin-refused"
        assert "999999" not in f"{refused.value!r} {refused.value.__dict__} {caplog.text}"
        assert refused.value.__cause__ is None

    def test_a_refused_pin_is_not_tried_again_until_its_file_changes(
        self, token: Path, forge: Forge
    ) -> None:
        put(token, forge, LOGIN, forge.issue(Recipe()))
        one = SigningToken(module(), TOKEN, secret_from_file(token / "pin"))
        (token / "pin").write_text("999999")
        for _ in range(20):  # SoftHSM, like most tokens, would lock
            with pytest.raises(ConfigurationError) as refused:
                one.sign(LOGIN, "sha256", b"x")
        assert "not tried again" in refused.value.detail
        (token / "pin").write_text(PIN)
        os.utime(token / "pin", (1, 1))
        assert one.sign(LOGIN, "sha256", b"x")
        one.close()

    @pytest.mark.parametrize("error", [pkcs11.PinLocked, pkcs11.PinExpired])
    def test_a_locked_pin_is_told_and_not_tried_again(
        self, token: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        # SoftHSM never locks a PIN: here the library's own answer is put in its place
        tries: list[str] = []

        class Locked:
            def open(self, **given: str) -> None:
                tries.append(given["user_pin"])
                raise error

        one = SigningToken(module(), TOKEN, secret_from_file(token / "pin"))
        monkeypatch.setattr(one, "_found", Locked)
        for _ in range(3):
            with pytest.raises(ConfigurationError) as refused:
                one.certificates()
            assert refused.value.code == "signer-pin-refused"
        assert tries == [PIN]

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
    def test_a_pin_file_without_a_pin_is_named(self, token: Path, content: bytes) -> None:
        (token / "pin").write_bytes(content)
        with pytest.raises(ConfigurationError) as refused:
            SigningToken(module(), TOKEN, secret_from_file(token / "pin")).certificates()
        assert refused.value.code == "signer-pin-unreadable"


class TestLostSession:
    def test_signing_goes_on_after_a_lost_session(self, token: Path, forge: Forge) -> None:
        made = put(token, forge, LOGIN, forge.issue(Recipe()))
        identity = load(token, forge).person(LOGIN, "", NOW)
        for _ in range(3):
            pkcs11.lib(str(module())).get_token(token_label=TOKEN)
            pkcs11.lib(str(module())).reinitialize()  # every session and handle is gone
            signature = identity.signer.sign_bytes(b"data")
            public = made.certificate.public_key()
            assert isinstance(public, ec.EllipticCurvePublicKey)
            assert verifies(public, "sha256", signature, b"data")

    def test_a_token_that_is_away_may_come_back(self, token: Path, forge: Forge) -> None:
        put(token, forge, LOGIN, forge.issue(Recipe()))
        identity = load(token, forge).person(LOGIN, "", NOW)
        folder, away = token / "softhsm" / "tokens", token / "away"
        folder.rename(away)
        folder.mkdir()
        pkcs11.lib(str(module())).reinitialize()
        with pytest.raises(UnavailableError) as refused:
            identity.signer.sign_bytes(b"data")
        assert refused.value.code == "signer-token-unavailable"
        folder.rmdir()
        away.rename(folder)
        pkcs11.lib(str(module())).reinitialize()
        assert identity.signer.sign_bytes(b"data")


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ({"pkcs11": "/nowhere/lib.so"}, "no PKCS#11 library"),
        ({"pkcs11": "/etc/passwd"}, "/etc/passwd is no PKCS#11 library"),
        ({"token": "another"}, "no token labelled"),
        ({"colour": "blue"}, "must have exactly"),
        ({"certificates": "none.pem"}, "cannot be read as PEM"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(
    token: Path, forge: Forge, person: dict[str, str], words: str
) -> None:
    put(token, forge, LOGIN, forge.issue(Recipe()))
    with pytest.raises((ConfigurationError, UnavailableError), match=words):
        load(token, forge, **person)


def test_an_unfit_certificate_names_the_token(token: Path, forge: Forge) -> None:
    put(token, forge, LOGIN, forge.issue(Recipe(ORGANISATION)))
    with pytest.raises(ConfigurationError, match=f"people/{LOGIN} .* organisation") as refused:
        load(token, forge)
    assert refused.value.code == "signer-identity"
