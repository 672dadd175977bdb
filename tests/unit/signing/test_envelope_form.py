"""The form of an envelope: what is written is DER; what is hostile is refused in bounded memory."""

import hashlib
from io import BytesIO

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from docflow.kernel.errors import DocflowError, IntegrityError, InvalidInputError
from docflow.signing.envelope import MAX_RECIPIENTS, decrypt, encrypt
from docflow.signing.envelope.algorithms import MOST_CONTENT
from docflow.signing.envelope.tlv import CHUNK, Reader, element, head, require_der
from tests.envelope_support import (
    Recipient,
    Slow,
    Watched,
    certificate_for,
    ec_key,
    opened,
    recipient,
    refusal,
    rsa_key,
    sealed,
    sealed_with_facts,
)

PLAIN = "Không phổ biến".encode() * 50
OID_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
OID_DATA = bytes.fromhex("06092a864886f70d010701")


def parts(envelope: bytes) -> cms.AuthEnvelopedData:
    return cms.ContentInfo.load(envelope, strict=True)["content"]


def assembled(*body: bytes) -> bytes:
    """Return a ContentInfo of AuthEnvelopedData with these parts."""
    return element(0x30, OID_AUTH_ENVELOPED + element(0xA0, element(0x30, b"".join(body))))


class TestWhatIsMade:
    @pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
    def test_it_is_der_with_the_versions_of_the_standard(self, size: int) -> None:
        envelope = sealed(b"x" * size, recipient("rsa"), recipient("p256"))
        require_der(envelope)
        data = parts(envelope)
        assert data["version"].native == "v0"
        assert sorted(info.chosen["version"].native for info in data["recipient_infos"]) == [
            "v0",
            "v3",
        ]
        content = data["auth_encrypted_content_info"]
        assert content["content_type"].native == "data"
        assert len(content["encrypted_content"].native) == size
        assert len(data["mac"].native) == 16
        assert envelope == assembled(*(data[name].dump() for name in (0, 2, 3, 5)))

    def test_the_facts_are_those_of_the_file_and_of_its_recipients(self) -> None:
        everyone = [recipient(kind) for kind in ("rsa", "p256", "p384", "p521")]
        envelope, facts = sealed_with_facts(PLAIN, *everyone)
        assert facts.sha256 == hashlib.sha256(envelope).hexdigest()
        assert facts.size == len(envelope)
        assert [one.algorithm for one in facts.recipients] == [
            "rsa-2048-oaep-sha256",
            "ecdh-p-256-sha256kdf-aes256-wrap",
            "ecdh-p-384-sha384kdf-aes256-wrap",
            "ecdh-p-521-sha512kdf-aes256-wrap",
        ]
        for one, by in zip(facts.recipients, everyone, strict=True):
            assert one.sha256 == by.certificate.fingerprint(hashes.SHA256()).hex()
            assert int(one.serial, 16) == by.certificate.serial_number
            assert one.issuer == by.certificate.issuer.rfc4514_string()
        assert facts.as_json()["recipients"][0]["algorithm"] == "rsa-2048-oaep-sha256"

    def test_key_nonce_and_ephemeral_key_are_new_each_time(self) -> None:
        seen = []
        for _ in range(2):
            data = parts(sealed(PLAIN, recipient("p256")))
            content = data["auth_encrypted_content_info"]
            seen.append(
                (
                    content["encrypted_content"].native,
                    content["content_encryption_algorithm"].dump(),
                    data["recipient_infos"][0].chosen["originator"].dump(),
                )
            )
        assert all(first != second for first, second in zip(*seen, strict=True))

    def test_a_certificate_named_twice_is_used_once(self) -> None:
        envelope, facts = sealed_with_facts(PLAIN, recipient("p256"), recipient("p256"))
        assert len(facts.recipients) == len(parts(envelope)["recipient_infos"]) == 1

    def test_content_from_a_slow_source_is_the_same(self) -> None:
        target = BytesIO()
        source = Slow(PLAIN, 7)
        encrypt(source, len(PLAIN), target, [recipient("p256").certificate])
        assert opened(target.getvalue(), recipient("p256")) == PLAIN

    def test_the_envelope_may_begin_anywhere_in_its_source(self) -> None:
        source = BytesIO(b"before" + sealed(PLAIN, recipient("p256")))
        source.seek(6)
        target = BytesIO()
        decrypt(source, target, recipient("p256").key, None)
        assert target.getvalue() == PLAIN


class TestWhatIsNotMade:
    @pytest.mark.parametrize("said", [len(PLAIN) - 1, len(PLAIN) + 1, 0])
    def test_content_of_another_size_than_said(self, said: int) -> None:
        with pytest.raises(IntegrityError, match=f"the {said} bytes") as caught:
            encrypt(BytesIO(PLAIN), said, BytesIO(), [recipient("p256").certificate])
        assert caught.value.code == "content-size"

    @pytest.mark.parametrize("size", [-1, MOST_CONTENT + 1])
    def test_more_than_one_key_may_encrypt(self, size: int) -> None:
        target = BytesIO()
        with pytest.raises(InvalidInputError) as caught:
            encrypt(BytesIO(), size, target, [recipient("p256").certificate])
        assert (caught.value.code, target.getvalue()) == ("envelope-size", b"")

    def test_nobody_to_encrypt_to(self) -> None:
        with pytest.raises(InvalidInputError) as caught:
            encrypt(BytesIO(), 0, BytesIO(), [])
        assert caught.value.code == "recipient-count"

    def test_more_recipients_than_are_read(self) -> None:
        key = recipient("p256").key
        many = [certificate_for(key) for _ in range(MAX_RECIPIENTS + 1)]
        with pytest.raises(InvalidInputError) as caught:
            encrypt(BytesIO(), 0, BytesIO(), many)
        assert caught.value.code == "recipient-count"
        target = BytesIO()
        encrypt(BytesIO(PLAIN), len(PLAIN), target, many[1:])
        back = BytesIO()
        decrypt(BytesIO(target.getvalue()), back, key, many[-1])
        assert back.getvalue() == PLAIN

    @pytest.mark.parametrize("kind", ["rsa-1024", "secp256k1"])
    def test_keys_that_are_never_encrypted_to(self, kind: str) -> None:
        key = rsa_key(1024) if kind == "rsa-1024" else ec_key(ec.SECP256K1())
        target = BytesIO()
        with pytest.raises(InvalidInputError) as caught:
            encrypt(BytesIO(), 0, target, [certificate_for(key)])
        assert (caught.value.code, target.getvalue()) == ("recipient-key", b"")


class TestWhoMayOpen:
    def test_another_certificate_is_told_whom_the_file_is_for(self) -> None:
        found = refusal(sealed(PLAIN, recipient("rsa"), recipient("p256")), recipient("p256", 1))
        assert found.code == "not-a-recipient"
        assert f"certificate {recipient('rsa').certificate.serial_number:x}" in found.detail
        assert "rsa số 0" in found.detail

    def test_a_long_list_of_recipients_is_cut_in_the_message(self) -> None:
        many = [Recipient(recipient("p256").key, certificate_for(recipient("p256").key))] * 1
        many += [recipient("p256", number) for number in range(10, 20)]
        assert "and 6 more" in refusal(sealed(PLAIN, *many), recipient("p256", 1)).detail

    def test_names_from_the_file_cannot_steer_a_terminal(self) -> None:
        key = recipient("p256").key
        evil = Recipient(key, certificate_for(key, name="\x1b[2J\r\n" + "x" * 40))
        found = refusal(sealed(PLAIN, evil), recipient("p256", 1))
        assert found.detail.isprintable()

    @pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
    def test_another_key_without_certificate_opens_nothing(self, kind: str) -> None:
        envelope = sealed(PLAIN, recipient("rsa"), recipient("p256"))
        assert refusal(envelope, recipient(kind, 1), named=False).code == "key-does-not-open"

    def test_a_key_that_is_not_of_the_certificate_given(self) -> None:
        mixed = Recipient(recipient("p256", 1).key, recipient("p256").certificate)
        found = refusal(sealed(PLAIN, recipient("p256")), mixed)
        assert (found.code, "belong" in found.detail) == ("key-does-not-open", True)

    def test_equal_serial_of_another_issuer_is_another_certificate(self) -> None:
        one = recipient("p256")
        envelope = sealed(PLAIN, one)
        name = one.certificate.issuer.public_bytes()
        other = name.replace("p256 số 0".encode(), "p256 số 9".encode())
        assert name in envelope
        assert refusal(envelope.replace(name, other), one).code == "not-a-recipient"


class TestHostileForms:
    @pytest.fixture
    def data(self) -> cms.AuthEnvelopedData:
        return parts(sealed(PLAIN, recipient("p256")))

    def said(self, envelope: bytes) -> DocflowError:
        return refusal(envelope, recipient("p256"))

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"0",
            b"%PDF-1.7\n",
            b"\x30\x80",
            b"\xff" * 300,
            b"-----BEGIN CMS-----\n",
            b"\0" * 40,
        ],
    )
    def test_what_is_no_cms_at_all(self, garbage: bytes) -> None:
        assert self.said(garbage).code == "not-an-envelope"

    def test_the_untouched_parts_do_open(self, data: cms.AuthEnvelopedData) -> None:
        envelope = assembled(*(data[name].dump() for name in (0, 2, 3, 5)))
        assert opened(envelope, recipient("p256")) == PLAIN

    @pytest.mark.parametrize("where", [1, 4, 6], ids=["originator", "authenticated", "free"])
    def test_parts_that_nothing_needs(self, data: cms.AuthEnvelopedData, where: int) -> None:
        dumped = [data[0].dump(), b"", data[2].dump(), data[3].dump(), b"", data[5].dump(), b""]
        dumped[where] = element({1: 0xA0, 4: 0xA1, 6: 0xA2}[where], b"")
        assert self.said(assembled(*dumped)).code == "envelope-unsupported"

    @pytest.mark.parametrize("version", [1, 2, 4])
    def test_another_version(self, data: cms.AuthEnvelopedData, version: int) -> None:
        dumped = [data[name].dump() for name in (2, 3, 5)]
        assert self.said(assembled(bytes((2, 1, version)), *dumped)).code == "envelope-damaged"

    @pytest.mark.parametrize("length", [12, 15, 17])
    def test_a_tag_of_another_length(self, data: cms.AuthEnvelopedData, length: int) -> None:
        tag = (data["mac"].native + b"\0")[:length]
        dumped = [data[name].dump() for name in (0, 2, 3)]
        assert self.said(assembled(*dumped, element(4, tag))).code == "envelope-damaged"

    def test_a_shorter_tag_announced(self, data: cms.AuthEnvelopedData) -> None:
        dumped = [data[name].dump() for name in (0, 2, 3)]
        dumped[2] = dumped[2].replace(b"\x02\x01\x10", b"\x02\x01\x0c")
        found = self.said(assembled(*dumped, element(4, data["mac"].native[:12])))
        assert found.code == "envelope-unsupported"

    def test_content_that_lies_elsewhere(self, data: cms.AuthEnvelopedData) -> None:
        algorithm = data[3]["content_encryption_algorithm"].dump()
        dumped = [data[0].dump(), data[2].dump(), element(0x30, OID_DATA + algorithm)]
        assert self.said(assembled(*dumped, data[5].dump())).code == "envelope-unsupported"

    def test_content_in_segments(self, data: cms.AuthEnvelopedData) -> None:
        secret = data[3]["encrypted_content"].native
        algorithm = data[3]["content_encryption_algorithm"].dump()

        def with_content(content: bytes) -> bytes:
            inner = element(0x30, OID_DATA + algorithm + content)
            return assembled(data[0].dump(), data[2].dump(), inner, data[5].dump())

        pieces = [element(4, secret[at : at + 100]) for at in range(0, len(secret), 100)]
        pieces.insert(3, element(4, b""))
        whole = element(0xA0, b"".join(pieces))
        assert opened(with_content(whole), recipient("p256")) == PLAIN
        for wrong in (
            element(0xA0, b"".join(reversed(pieces))),
            element(0xA0, b"".join(pieces[:-1])),
            element(0xA0, element(0x24, b"".join(pieces))),
            element(0xA0, b"".join(pieces) + b"\x04\x80\0\0"),
            element(0xA0, secret),
        ):
            assert self.said(with_content(wrong)).code == "envelope-damaged"

    @pytest.mark.parametrize("claim", [2**16, 2**31, 2**40, 2**63])
    @pytest.mark.parametrize("where", ["outer", "recipients", "content"])
    def test_a_length_is_not_believed(
        self, data: cms.AuthEnvelopedData, where: str, claim: int
    ) -> None:
        if where == "outer":
            envelope = head(0x30, claim) + OID_AUTH_ENVELOPED + head(0xA0, claim - 30)
            envelope += head(0x30, claim - 50) + data[0].dump() + head(0x31, claim - 70)
        elif where == "recipients":
            envelope = assembled(data[0].dump(), head(0x31, claim))
        else:
            content = OID_DATA + data[3]["content_encryption_algorithm"].dump() + head(0x80, claim)
            envelope = assembled(data[0].dump(), data[2].dump(), head(0x30, claim + 99) + content)
        source, target = Watched(envelope), BytesIO()
        with pytest.raises(IntegrityError):
            decrypt(source, target, recipient("p256").key, None)
        assert source.largest <= max(1024 * 1024, CHUNK)
        assert target.getvalue() == b""

    def test_reading_never_asks_for_more_than_a_chunk(self) -> None:
        plain = b"y" * (5 * CHUNK + 3)
        source = Watched(sealed(plain, recipient("p256")))
        target = BytesIO()
        decrypt(source, target, recipient("p256").key, None)
        assert source.largest <= CHUNK
        assert target.getvalue() == plain

    @pytest.mark.parametrize(
        "recipients",
        [
            element(0x31, b"\x30\x80" * 5000 + b"\0\0" * 5000),
            element(0x31, b"\x05\x00" * 100_000),
            element(0x31, b"\x1f\x81\x01\x00"),
            element(0x31, b"\x30\x81\x05abcde"),
            element(0x31, b"\x30\x84\x00\x00\x00\x85" + b"\x05\x00" * 66 + b"\x02"),
            element(0x31, b"\x30"),
            element(0x31, b"\x30\x05\x02"),
            element(0x31, b"\x30\x89" + b"\xff" * 9),
            element(0x31, b""),
            element(0x31, element(0xA7, b"")),
            element(0x31, element(0x30, b"")),
            element(0x31, element(0xA1, element(2, b"\x03"))),
        ],
        ids=range(12),
    )
    def test_recipients_that_are_no_recipients(
        self, data: cms.AuthEnvelopedData, recipients: bytes
    ) -> None:
        envelope = assembled(data[0].dump(), recipients, data[3].dump(), data[5].dump())
        for named in (True, False):
            found = refusal(envelope, recipient("p256"), named=named)
            assert found.code in {"envelope-damaged", "not-a-recipient", "key-does-not-open"}

    def test_deep_nesting_is_counted_not_followed(self) -> None:
        deep = b""
        for _ in range(20):
            deep = element(0x30, deep)
        with pytest.raises(IntegrityError, match="deeply nested"):
            require_der(deep)
        for _ in range(20_000):
            deep = head(0x30, len(deep)) + deep
        with pytest.raises(IntegrityError, match="deeply nested"):
            require_der(deep)

    def test_more_recipients_than_any_sender_names(self, data: cms.AuthEnvelopedData) -> None:
        one = data[2][0].dump()
        envelope = assembled(
            data[0].dump(),
            element(0x31, one * (MAX_RECIPIENTS + 1)),
            data[3].dump(),
            data[5].dump(),
        )
        assert self.said(envelope).code == "envelope-damaged"

    def test_an_ephemeral_key_that_is_not_on_the_curve(self) -> None:
        envelope = sealed(PLAIN, recipient("p256"))
        start = envelope.index(bytes.fromhex("034200 04".replace(" ", ""))) + 3
        for point in (b"\x04" + b"\x11" * 64, b"\0" * 65):
            moved = envelope[:start] + point + envelope[start + 65 :]
            assert self.said(moved).code == "envelope-damaged"

    def test_a_pipe_is_refused_since_it_cannot_be_read_twice(self) -> None:
        class Pipe(BytesIO):
            def seekable(self) -> bool:
                return False

        with pytest.raises(InvalidInputError, match="pipe"):
            decrypt(Pipe(sealed(PLAIN, recipient("p256"))), BytesIO(), recipient("p256").key, None)

    def test_a_file_that_changes_while_it_is_read_raises(self) -> None:
        envelope = sealed(PLAIN, recipient("p256"))

        class Changing(BytesIO):
            def seek(self, offset: int, whence: int = 0) -> int:
                changed = bytearray(self.getvalue())
                changed[-30] ^= 1
                self.__init__(bytes(changed))  # type: ignore[misc]
                return super().seek(offset, whence)

        with pytest.raises(IntegrityError, match="does not match its tag"):
            decrypt(Changing(envelope), BytesIO(), recipient("p256").key, None)


def test_the_reader_tells_an_element_that_does_not_fill_its_parent() -> None:
    reader = Reader(BytesIO(element(0x30, element(4, b"a") + element(4, b"b"))))
    reader.enter(0x30)
    assert reader.whole(4, 10) == b"\x04\x01a"
    with pytest.raises(IntegrityError, match="more than belongs"):
        reader.leave()
