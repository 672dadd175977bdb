"""Tag, length, value: written for DER, and read from a stream without trusting a length.

Rules:
- A length is compared with what the enclosing element has left before anything is read; what is read
  into memory at once has a limit of its own.
- Indefinite lengths are accepted only in the skeleton that `Reader` walks (senders that stream write
  them there); `require_der` refuses them, and depth or number beyond measure, in everything that is
  parsed as a whole.

Source: ITU-T X.690 (BER, DER).
"""

from collections.abc import Iterator
from typing import BinaryIO

from docflow.signing.envelope.faults import damaged

INTEGER, OCTETS, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
CONTEXT_0, CONTEXT_0_PRIMITIVE = 0xA0, 0x80

CHUNK = 64 * 1024  # bytes; what is read, decrypted and written at once

_CONSTRUCTED, _HIGH_TAG = 0x20, 0x1F
_LONG_FORM = 0x80
_MOST_LENGTH_OCTETS = 8
_MOST_DEPTH = 16
_MOST_ELEMENTS = 65_536


def head(tag: int, length: int) -> bytes:
    """Return the DER identifier and length octets of an element of `length` bytes."""
    if length < _LONG_FORM:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(octets))) + octets


def element(tag: int, content: bytes) -> bytes:
    """Return a whole DER element."""
    return head(tag, len(content)) + content


def require_der(data: bytes) -> None:
    """Check that `data` is one well-nested DER element of bounded depth and number of parts.

    Raises:
        IntegrityError: if it is not (code `envelope-damaged`).
    """
    at, seen = 0, 0
    ends = [len(data)]
    while ends:
        if at == ends[-1]:
            ends.pop()
            continue
        seen += 1
        tag, length, at = _der_head(data, at, ends[-1])
        if seen > _MOST_ELEMENTS or len(ends) > _MOST_DEPTH:
            raise damaged("it has more parts, or parts more deeply nested, than any real one")
        if len(ends) == 1 and at + length != len(data):
            raise damaged("a part is followed by bytes that do not belong to it")
        if tag & _CONSTRUCTED:
            ends.append(at + length)
        else:
            at += length


def _der_head(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, length and where the content begins."""
    if end - at < 2:  # noqa: PLR2004 - a tag and a length
        raise damaged("a part ends in the middle of a header")
    tag, first = data[at], data[at + 1]
    at += 2
    _require_low_tag(tag)
    count = _octets_of_length(first)
    if count is None or end - at < count:
        raise damaged("a part has no definite length")
    length = _length(first, data[at : at + count])
    at += count
    if length > end - at:
        raise damaged("a part is longer than the one around it")
    return tag, length, at


def _require_low_tag(tag: int) -> None:
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise damaged("it has a tag that does not occur in such files")


def _octets_of_length(first: int) -> int | None:
    """Return how many octets follow the first one of a length; None for the indefinite form."""
    if first < _LONG_FORM:
        return 0
    count = first & ~_LONG_FORM
    if count > _MOST_LENGTH_OCTETS:
        raise damaged("it claims to be longer than any file")
    return count or None


def _length(first: int, octets: bytes) -> int:
    if first < _LONG_FORM:
        return first
    length = int.from_bytes(octets, "big")
    if octets[0] == 0 or length < _LONG_FORM:
        raise damaged("a length is not written in its shortest form")
    return length


class Reader:
    """Walks the skeleton of a BER structure from a stream.

    Every method raises `IntegrityError` (code `envelope-damaged`) where the bytes are not what they
    must be, end early, or are longer than the element around them.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._at = 0
        self._ends: list[int | None] = []  # None: ended by two zero octets
        self._ahead = b""

    def enter(self, tag: int) -> None:
        """Read the header of a constructed element and go inside."""
        length = self._expect(tag)
        self._ends.append(None if length is None else self._at + length)

    def leave(self) -> None:
        """Come out of the element entered last, which must be read to its end."""
        if self.more():
            raise damaged("a part holds more than belongs there")
        if self._ends[-1] is None and self._take(2) != b"\0\0":
            raise damaged("a part has no proper end")
        self._ends.pop()

    def more(self) -> bool:
        """Tell whether the element entered last has another part."""
        end = self._ends[-1]
        return self._at < end if end is not None else self.peek() != 0

    def peek(self) -> int:
        """Return the tag of the next element."""
        if not self._ahead:
            self._ahead = self._take(1)
            self._at -= 1
        return self._ahead[0]

    def whole(self, tag: int, most: int) -> bytes:
        """Read a DER element of at most `most` bytes; return it with its header."""
        length = self._expect(tag)
        if length is None or length > most:
            raise damaged("a part has no definite length, or is larger than any real one")
        data = head(tag, length) + self._take(length)
        require_der(data)
        return data

    def octets(self) -> Iterator[bytes]:
        """Give the content of an octet string tagged [0], primitive or in segments, by chunks."""
        if self.peek() == CONTEXT_0_PRIMITIVE:
            yield from self._chunks(self._expect(CONTEXT_0_PRIMITIVE))
            return
        self.enter(CONTEXT_0)
        while self.more():
            yield from self._chunks(self._expect(OCTETS))
        self.leave()

    def finish(self) -> None:
        """Check that the stream ends here."""
        if self._ahead or self._source.read(1):
            raise damaged("bytes follow its end")

    def _chunks(self, length: int | None) -> Iterator[bytes]:
        if length is None:
            raise damaged("its content has no definite length")
        while length:
            data = self._take(min(length, CHUNK))
            length -= len(data)
            yield data

    def _expect(self, tag: int) -> int | None:
        """Read a header with this tag; return the length, None where it is indefinite."""
        found = self._take(1)[0]
        if found != tag:
            raise damaged(f"the tag {found:#04x} stands where {tag:#04x} must be")
        first = self._take(1)[0]
        count = _octets_of_length(first)
        if count is None:
            return None
        length = _length(first, self._take(count))
        self._require_room(length)
        return length

    def _require_room(self, length: int) -> None:
        end = next((end for end in reversed(self._ends) if end is not None), None)
        if end is not None and self._at + length > end:
            raise damaged("a part is longer than the one around it")

    def _take(self, count: int) -> bytes:
        self._require_room(count)
        parts, missing = [self._ahead[:count]], count - len(self._ahead[:count])
        self._ahead = self._ahead[count:]
        while missing:
            part = self._source.read(missing)
            if not part:
                raise damaged("it ends early")
            parts.append(part)
            missing -= len(part)
        self._at += count
        return parts[1] if len(parts) == 2 and not parts[0] else b"".join(parts)  # noqa: PLR2004
