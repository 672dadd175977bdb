"""What docflow encrypts opens with OpenSSL, and the other way round."""

from pathlib import Path

import pytest

from docflow.signing.envelope.tlv import CHUNK
from tests.envelope_support import Recipient, opened, recipient, refusal, sealed
from tests.unit.signing.forge import run

PLAIN = bytes(range(256)) * 600 + "Tối mật\r\n\n".encode()
OAEP = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
KINDS = ("rsa", "p256", "p384", "p521")


def openssl_opens(folder: Path, envelope: bytes, by: Recipient) -> bytes:
    key, certificate = by.write(folder, "reader")
    (folder / "m.p7m").write_bytes(envelope)
    run(
        "openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-in", folder / "m.p7m",
        "-recip", certificate, "-inkey", key, "-out", folder / "m.out",
    )  # fmt: skip
    return (folder / "m.out").read_bytes()


def openssl_makes(
    folder: Path, plain: bytes, *recipients: Recipient, more: tuple[str, ...] = (),
    cipher: str = "-aes-256-gcm", options: tuple[str, ...] = (), oaep: tuple[str, ...] = OAEP,
) -> bytes:  # fmt: skip
    (folder / "plain").write_bytes(plain)
    whom: list[str] = []
    for number, one in enumerate(recipients):
        _, certificate = one.write(folder, f"to{number}")
        whom += ["-recip", str(certificate)]
        whom += oaep if "RSA" in type(one.key).__name__ else options
    run(
        "openssl", "cms", "-encrypt", "-binary", cipher, "-outform", "DER", *more,
        "-in", folder / "plain", "-out", folder / "made.p7m", *whom,
    )  # fmt: skip
    return (folder / "made.p7m").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_opens_what_docflow_makes_for_one(tmp_path: Path, kind: str) -> None:
    one = recipient(kind)
    assert openssl_opens(tmp_path, sealed(PLAIN, one), one) == PLAIN


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_opens_what_docflow_makes_for_several(tmp_path: Path, kind: str) -> None:
    everyone = [recipient(other) for other in KINDS] + [recipient("rsa", 1), recipient("p256", 1)]
    assert openssl_opens(tmp_path, sealed(PLAIN, *everyone), recipient(kind)) == PLAIN


@pytest.mark.parametrize("size", [0, 1, 127, 128, 65535, CHUNK - 1, CHUNK, CHUNK + 1])
def test_openssl_opens_every_size_where_a_length_changes_its_form(
    tmp_path: Path, size: int
) -> None:
    one = recipient("p256")
    assert openssl_opens(tmp_path, sealed(b"x" * size, one), one) == b"x" * size


@pytest.mark.parametrize("named", [True, False], ids=["by certificate", "by key"])
@pytest.mark.parametrize("kind", KINDS)
def test_docflow_opens_what_openssl_makes(tmp_path: Path, kind: str, named: bool) -> None:
    envelope = openssl_makes(tmp_path, PLAIN, *[recipient(other) for other in KINDS])
    assert opened(envelope, recipient(kind), named=named) == PLAIN


@pytest.mark.parametrize("kind", ["rsa", "p384"])
def test_docflow_opens_what_names_its_recipients_by_key(tmp_path: Path, kind: str) -> None:
    envelope = openssl_makes(tmp_path, PLAIN, recipient("rsa"), recipient("p384"), more=("-keyid",))
    assert opened(envelope, recipient(kind)) == PLAIN
    assert refusal(envelope, recipient(kind, 1)).code == "not-a-recipient"


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_docflow_opens_what_was_streamed_with_indefinite_lengths(tmp_path: Path, kind: str) -> None:
    envelope = openssl_makes(
        tmp_path, PLAIN, recipient("rsa"), recipient("p256"), more=("-stream",)
    )
    assert envelope[:2] == b"\x30\x80"
    assert opened(envelope, recipient(kind)) == PLAIN
    for cut in (1, 2, 8, 30, 5000):
        assert refusal(envelope[:-cut], recipient(kind)).code == "envelope-damaged"
    assert refusal(envelope + b"\0", recipient(kind)).code == "envelope-damaged"


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_docflow_opens_every_hash_that_openssl_puts_into_a_recipient(
    tmp_path: Path, digest: str
) -> None:
    oaep = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", f"rsa_oaep_md:{digest}")
    agree = ("-keyopt", f"ecdh_kdf_md:{digest}")
    envelope = openssl_makes(
        tmp_path, PLAIN, recipient("rsa"), recipient("p256"), oaep=oaep, options=agree
    )
    assert opened(envelope, recipient("rsa")) == PLAIN
    assert opened(envelope, recipient("p256")) == PLAIN


def test_docflow_opens_an_empty_file_of_openssl(tmp_path: Path) -> None:
    assert opened(openssl_makes(tmp_path, b"", recipient("p256")), recipient("p256")) == b""


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_recipients_without_certificate_do_not_disturb_the_others(
    tmp_path: Path, kind: str
) -> None:
    shared = ("-secretkey", "5e" * 32, "-secretkeyid", "c0ffee")
    envelope = openssl_makes(tmp_path, PLAIN, recipient("rsa"), recipient("p256"), more=shared)
    assert opened(envelope, recipient(kind)) == PLAIN
    assert "a recipient without a certificate" in refusal(envelope, recipient(kind, 1)).detail


class TestWhatIsRefused:
    def test_weaker_content_encryption(self, tmp_path: Path) -> None:
        envelope = openssl_makes(tmp_path, PLAIN, recipient("p256"), cipher="-aes-128-gcm")
        found = refusal(envelope, recipient("p256"))
        assert (found.code, "AES-256-GCM" in found.detail) == ("envelope-unsupported", True)

    def test_content_without_integrity(self, tmp_path: Path) -> None:
        envelope = openssl_makes(tmp_path, PLAIN, recipient("p256"), cipher="-aes-256-cbc")
        found = refusal(envelope, recipient("p256"))
        assert found.code == "not-an-envelope"
        assert "could be changed unnoticed" in found.detail

    @pytest.mark.parametrize("named", [True, False])
    def test_rsa_without_oaep(self, tmp_path: Path, named: bool) -> None:
        envelope = openssl_makes(tmp_path, PLAIN, recipient("rsa"), oaep=())
        found = refusal(envelope, recipient("rsa"), named=named)
        assert (found.code, "without OAEP" in found.detail) == ("envelope-unsupported", True)

    def test_a_weaker_key_wrap(self, tmp_path: Path) -> None:
        envelope = openssl_makes(tmp_path, PLAIN, recipient("p256"), more=("-aes128-wrap",))
        found = refusal(envelope, recipient("p256"))
        assert (found.code, "key wrap" in found.detail) == ("envelope-unsupported", True)

    def test_an_oaep_label(self, tmp_path: Path) -> None:
        labelled = (*OAEP, "-keyopt", "rsa_oaep_label:c0ffee")
        envelope = openssl_makes(tmp_path, PLAIN, recipient("rsa"), oaep=labelled)
        found = refusal(envelope, recipient("rsa"))
        assert (found.code, "label" in found.detail) == ("envelope-unsupported", True)

    def test_a_signature(self, tmp_path: Path) -> None:
        one = recipient("p256")
        key, certificate = one.write(tmp_path, "signer")
        (tmp_path / "plain").write_bytes(PLAIN)
        run(
            "openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER",
            "-signer", certificate, "-inkey", key,
            "-in", tmp_path / "plain", "-out", tmp_path / "signed",
        )  # fmt: skip
        found = refusal((tmp_path / "signed").read_bytes(), one)
        assert (found.code, "signature" in found.detail) == ("not-an-envelope", True)


def test_openssl_sees_the_same_structure_as_its_own(tmp_path: Path) -> None:
    """Tags, depths and identifiers are those that OpenSSL writes; only values and hashes differ."""

    def shape(envelope: bytes) -> list[str]:
        (tmp_path / "shape").write_bytes(envelope)
        lines = run("openssl", "asn1parse", "-inform", "DER", "-in", tmp_path / "shape")
        parts = [line.split(":", 1)[1] for line in lines.splitlines()]
        return [
            f"{part.split('hl')[0]}{part.split(':')[0].split('=')[-1].split(None, 1)[1]}"
            for part in (part.split("[HEX")[0] for part in parts)
        ]

    one = recipient("p256")
    theirs = openssl_makes(tmp_path, PLAIN, one, options=("-keyopt", "ecdh_kdf_md:sha256"))
    ours = sealed(PLAIN, one)
    assert shape(ours) == shape(theirs)
    assert len(ours) in range(len(theirs) - 2, len(theirs) + 3)  # serial numbers differ by a byte
