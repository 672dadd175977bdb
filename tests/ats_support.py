"""Archive time stamps inside CAdES signatures (ATSv3), made from the words of ETSI EN 319 122-1, 5.5.

Nothing here is docflow's: octets are put together one by one, so that the verifier is judged by another
reading of the standard than its own.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from asn1crypto import core

from tests.verification_support import Maker

ARCHIVE_STAMP = "0.4.0.1733.2.4"  # id-aa-ets-archiveTimestampV3
HASH_INDEX = "0.4.0.19122.1.5"  # id-aa-ATSHashIndex-v3
_SHA = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "sha1": "1.3.14.3.2.26",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is not as the standard has it.

    Attributes:
        without: digests' places, as `certificates.0`, that the index leaves out.
        more: digests of nothing, added to the lists of the index of these names.
        index_by: the digest that the index names and uses.
        data_by: the digest of what was signed, within what is stamped.
        indexes: how many indexes the token has.
        stamped: changes the octets that are stamped.
        index: changes the index after it was stamped.
    """

    without: Collection[str] = ()
    more: Collection[str] = ()
    index_by: str = "sha256"
    data_by: str = "sha256"
    indexes: int = 1
    stamped: Callable[[bytes], bytes] = bytes
    index: Callable[[bytes], bytes] = bytes


RIGHT = Wrong()


def tlv(tag: int, *parts: bytes) -> bytes:
    """Encode one thing in DER."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def read(der: bytes, at: int = 0) -> tuple[int, bytes, int]:
    """Return tag, contents, and where the next thing begins."""
    size, start = der[at + 1], at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(der[at + 2 : start], "big")
    return der[at], der[start : start + size], start + size


def each(contents: bytes) -> list[bytes]:
    """Return the things in a SEQUENCE or SET, as they are encoded."""
    found, at = [], 0
    while at < len(contents):
        _, _, end = read(contents, at)
        found.append(contents[at:end])
        at = end
    return found


@dataclass(slots=True)
class Octets:
    """A SignedData with one signer, taken apart to its octets."""

    before: list[bytes]  # version, digestAlgorithms, encapContentInfo
    certificates: list[bytes]
    crls: list[bytes]
    signer: list[bytes]  # version to signature
    unsigned: list[bytes]  # whole attributes

    @classmethod
    def of(cls, der: bytes) -> "Octets":
        _, info, _ = read(der)
        _, explicit, _ = read(each(info)[1])
        _, signed, _ = read(explicit)
        parts = each(signed)
        tagged = {part[0]: read(part)[1] for part in parts[3:]}
        (signer,) = each(tagged[0x31])
        fields = each(read(signer)[1])
        unsigned = [one for one in fields if one[0] == 0xA1]
        return cls(
            parts[:3],
            each(tagged.get(0xA0, b"")),
            each(tagged.get(0xA1, b"")),
            [one for one in fields if one[0] != 0xA1],
            each(read(unsigned[0])[1]) if unsigned else [],
        )

    def der(self) -> bytes:
        unsigned = [tlv(0xA1, *sorted(self.unsigned))] if self.unsigned else []
        signer = tlv(0x31, tlv(0x30, *self.signer, *unsigned))
        sets = [
            tlv(tag, *things)
            for tag, things in ((0xA0, self.certificates), (0xA1, self.crls))
            if things
        ]
        signed = tlv(0x30, *self.before, *sets, signer)
        return tlv(0x30, core.ObjectIdentifier("1.2.840.113549.1.7.2").dump(), tlv(0xA0, signed))

    def values(self) -> list[bytes]:
        """Return type and value of each unsigned attribute, put together (5.5.2)."""
        found = []
        for attribute in self.unsigned:
            kind, values = each(read(attribute)[1])
            found += [kind + value for value in each(read(values)[1])]
        return found


def attribute(oid: str, *values: bytes) -> bytes:
    return tlv(0x30, core.ObjectIdentifier(oid).dump(), tlv(0x31, *sorted(values)))


def index_of(parts: Octets, wrong: Wrong) -> bytes:
    """Return the ATSHashIndexV3 over all that is there (5.5.2)."""
    lists = {
        "certificates": parts.certificates,
        "crls": parts.crls,
        "attributes": parts.values(),
    }
    encoded = []
    for name, things in lists.items():
        digests = [
            hashlib.new(wrong.index_by, one).digest()
            for number, one in enumerate(things)
            if f"{name}.{number}" not in wrong.without and f"{name}.*" not in wrong.without
        ]
        if name in wrong.more:
            digests.append(hashlib.new(wrong.index_by, b"nothing").digest())
        encoded.append(tlv(0x30, *(tlv(0x04, one) for one in digests)))
    algorithm = tlv(0x30, core.ObjectIdentifier(_SHA[wrong.index_by]).dump())
    return tlv(0x30, algorithm, *encoded)


def archived(
    der: bytes, data: bytes, maker: Maker, tsa: str = "tsa", wrong: Wrong = RIGHT
) -> bytes:
    """Return a signature over `data` with one more archive time stamp inside (5.5.3)."""
    parts = Octets.of(der)
    index = index_of(parts, wrong)
    content_type = each(read(parts.before[2])[1])[0]
    hashed = hashlib.new(wrong.data_by, data).digest()
    token = maker.token(wrong.stamped(b"".join([content_type, hashed, *parts.signer, index])), tsa)
    inner = Octets.of(token)
    if wrong.indexes:
        inner.unsigned += [attribute(HASH_INDEX, wrong.index(index))] * wrong.indexes
    parts.unsigned.append(attribute(ARCHIVE_STAMP, inner.der()))
    return parts.der()


def with_lists(der: bytes, maker: Maker) -> bytes:
    """Return a signature with what is known now of every certificate added, behind what is there."""
    fresh = Octets.of(maker.with_revocation(der))
    parts = Octets.of(der)
    for name in ("certificates", "crls"):
        kept = getattr(parts, name)
        kept += [one for one in getattr(fresh, name) if one not in kept]
    return parts.der()


def with_attribute(der: bytes, oid: str, value: bytes) -> bytes:
    """Return a signature with one more unsigned attribute."""
    parts = Octets.of(der)
    parts.unsigned.append(attribute(oid, value))
    return parts.der()


def stamps_in(der: bytes) -> list[bytes]:
    """Return the archive time stamps inside, as they are encoded."""
    kind = core.ObjectIdentifier(ARCHIVE_STAMP).dump()
    return [one[len(kind) :] for one in Octets.of(der).values() if one.startswith(kind)]
