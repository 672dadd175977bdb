"""Envelopes: what is encrypted is opened; whatever is changed is refused, and nothing leaks first."""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from docflow.kernel.errors import DocflowError, InvalidInputError
from docflow.signing.envelope import decrypt, encrypt
from docflow.signing.envelope.keyfile import load_key
from docflow.signing.envelope.tlv import CHUNK, Reader, element, head, require_der
from tests.envelope_support import Recipient, Slow, opened, recipient, refusal, sealed

relaxed = settings(deadline=None)  # a busy machine is no failure
brief = settings(deadline=None, max_examples=40)

KINDS = ("rsa", "p256", "p384", "p521")
PLAIN = "Quyết định số 15/QĐ-VP ".encode() * 9

edges = st.sampled_from([0, 1, 16, 127, 128, 255, 256, 65535, CHUNK, 2 * CHUNK, 3 * CHUNK])
sizes = st.one_of(
    st.integers(0, 2000), st.builds(lambda at, by: max(0, at + by), edges, st.integers(-2, 2))
)
kinds = st.sampled_from(KINDS)


class Case(NamedTuple):
    """One envelope, made once: most properties change it in another way each time."""

    envelope: bytes
    by: Recipient


def case(kind: str, *others: str) -> Case:
    everyone = [recipient(other) for other in (kind, *others)]
    return Case(sealed(PLAIN, *everyone), everyone[0])


ALONE = {kind: case(kind) for kind in KINDS}
TOGETHER = {kind: case(kind, *(other for other in KINDS if other != kind)) for kind in KINDS}


@brief
@given(size=sizes, whom=st.lists(kinds, min_size=1, max_size=5), data=st.data())
def test_every_recipient_opens_what_was_encrypted(
    size: int, whom: list[str], data: st.DataObject
) -> None:
    plain = (PLAIN * (size // len(PLAIN) + 1))[:size]
    target = BytesIO()
    source = Slow(plain, data.draw(st.integers(1 + size // 50, size + 1)))
    everyone = [recipient(kind, number % 2) for number, kind in enumerate(whom)]
    facts = encrypt(source, size, target, [one.certificate for one in everyone])
    assert facts.size == len(target.getvalue())
    require_der(target.getvalue())
    for one in everyone:
        back = BytesIO()
        envelope = Slow(target.getvalue(), data.draw(st.integers(1 + size // 50, size + 999)))
        decrypt(envelope, back, one.key, data.draw(st.sampled_from([one.certificate, None])))
        assert back.getvalue() == plain


@given(kind=kinds, at=st.integers(0, 10**6), bit=st.integers(0, 7))
@relaxed
def test_any_bit_flipped_is_refused(kind: str, at: int, bit: int) -> None:
    envelope, by = ALONE[kind]
    changed = bytearray(envelope)
    changed[at % len(envelope)] ^= 1 << bit
    refusal(bytes(changed), by)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_every_single_bit_of_a_small_envelope_counts(kind: str) -> None:
    envelope = sealed(b"x", recipient(kind))
    for at in range(len(envelope)):
        for bit in range(8):
            changed = bytearray(envelope)
            changed[at] ^= 1 << bit
            refusal(bytes(changed), recipient(kind))


@given(kind=kinds, at=st.integers(0, 10**6), bit=st.integers(0, 7), named=st.booleans())
@relaxed
def test_a_bit_flipped_in_the_entry_of_another_never_changes_the_content(
    kind: str, at: int, bit: int, named: bool
) -> None:
    """CMS protects the list of recipients against nothing: a change may shut one of them out only."""
    envelope, by = TOGETHER[kind]
    changed = bytearray(envelope)
    changed[at % len(envelope)] ^= 1 << bit
    target = BytesIO()
    try:
        decrypt(BytesIO(bytes(changed)), target, by.key, by.certificate if named else None)
    except DocflowError:
        assert target.getvalue() == b""
    else:
        assert target.getvalue() == PLAIN


@given(kind=kinds, left=st.integers(0, 10**6))
@relaxed
def test_any_cut_is_refused(kind: str, left: int) -> None:
    envelope, by = ALONE[kind]
    refusal(envelope[: left % len(envelope)], by)


@given(kind=kinds, more=st.binary(min_size=1, max_size=40))
@example(kind="p256", more=b"\0")
@example(kind="p256", more=b"\0\0")
@example(kind="rsa", more=b"\n")
@relaxed
def test_anything_after_the_end_is_refused(kind: str, more: bytes) -> None:
    envelope, by = ALONE[kind]
    assert refusal(envelope + more, by).code == "envelope-damaged"


@given(
    kind=kinds,
    start=st.integers(0, 10**6),
    length=st.integers(0, 60),
    put=st.binary(max_size=60),
)
@relaxed
def test_any_stretch_replaced_is_refused(kind: str, start: int, length: int, put: bytes) -> None:
    envelope, by = ALONE[kind]
    at = start % len(envelope)
    changed = envelope[:at] + put + envelope[at + length :]
    if changed != envelope:
        refusal(changed, by)


@given(kind=kinds, other=kinds, named=st.booleans())
@relaxed
def test_a_stranger_opens_nothing(kind: str, other: str, named: bool) -> None:
    stranger = recipient(other, 1)
    found = refusal(TOGETHER[kind].envelope, stranger, named=named)
    assert found.code == ("not-a-recipient" if named else "key-does-not-open")


@given(kind=kinds, other=kinds)
@relaxed
def test_a_key_with_the_certificate_of_another_opens_nothing(kind: str, other: str) -> None:
    mixed = Recipient(recipient(other, 1).key, recipient(kind).certificate)
    assert refusal(TOGETHER[kind].envelope, mixed).code == "key-does-not-open"


@given(first=kinds, second=kinds)
@brief
def test_parts_of_two_envelopes_do_not_go_together(first: str, second: str) -> None:
    """Recipients of one file before the content of another: the key does not fit."""
    one, other = ALONE[first], case(second)
    boundary = bytes.fromhex("06092a864886f70d010701")
    head_of_one, tail_of_other = (
        one.envelope[: one.envelope.index(boundary)],
        other.envelope[other.envelope.index(boundary) :],
    )
    refusal(head_of_one + tail_of_other, one.by)


@given(junk=st.binary(max_size=300), kind=kinds)
@relaxed
def test_any_bytes_are_refused_with_a_reason(junk: bytes, kind: str) -> None:
    refusal(junk, recipient(kind))
    start = ALONE[kind].envelope[:60]
    refusal(start + junk, recipient(kind))


@given(
    pieces=st.recursive(
        st.binary(max_size=20).map(lambda data: element(4, data)),
        lambda inner: st.builds(
            lambda tag, parts: element(tag, b"".join(parts)),
            st.sampled_from([0x30, 0x31, 0xA0, 0xA1, 0x80, 0x02]),
            st.lists(inner, max_size=4),
        ),
        max_leaves=20,
    )
)
@relaxed
def test_recipients_of_any_shape_are_refused_with_a_reason(pieces: bytes) -> None:
    oid = bytes.fromhex("060b2a864886f70d0109100117")
    inside = b"\x02\x01\x00" + element(0x31, pieces) + element(0x30, b"")
    envelope = element(0x30, oid + element(0xA0, element(0x30, inside)))
    for kind in ("rsa", "p256"):
        refusal(envelope, recipient(kind), named=False)
    begin = ALONE["p256"].envelope.index(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")
    content = ALONE["p256"].envelope[begin:-18]
    inside = (
        b"\x02\x01\x00" + element(0x31, pieces) + element(0x30, content) + b"\x04\x10" + b"x" * 16
    )
    envelope = element(0x30, oid + element(0xA0, element(0x30, inside)))
    refusal(envelope, recipient("p256"), named=False)


@given(length=st.integers(0, 2**64 - 1), tag=st.sampled_from([0x04, 0x30, 0x80, 0xA0]))
@relaxed
def test_a_header_is_read_as_it_was_written(length: int, tag: int) -> None:
    written = head(tag, length)
    reader = Reader(BytesIO(written + b"\0"))
    reader.enter(tag)
    assert reader.more() is (length > 0)
    assert len(written) == 2 + (0 if length < 128 else (length.bit_length() + 7) // 8)


@given(content=st.binary(min_size=1, max_size=200))
@relaxed
def test_any_bytes_are_no_key_file(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        with pytest.raises(InvalidInputError) as caught:
            load_key(Path(file.name), lambda: b"x")
        assert caught.value.code in {"key-file", "key-passphrase"}


def test_the_properties_start_from_envelopes_that_open() -> None:
    for kind in KINDS:
        for made in (ALONE[kind], TOGETHER[kind]):
            assert opened(made.envelope, made.by) == PLAIN
            assert opened(made.envelope, made.by, named=False) == PLAIN
