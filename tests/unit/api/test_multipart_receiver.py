"""The streaming receiver: what it takes, what it refuses, and that no sink is ever left open."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docflow.api.multipart import Limits, MultipartReceiver, Received, receive
from docflow.kernel.errors import DocflowError

BOUNDARY = "----docflow7MA4YWxk"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
SMALL = Limits(file_bytes=5000, total_bytes=20_000, metadata_bytes=500, annexes=3)


@dataclass
class RecordingSink:
    """A real sink in memory that knows how it was treated."""

    part: str
    name: str | None
    fails_on_finish: bool = False
    data: bytearray = field(default_factory=bytearray)
    calls: list[str] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        assert type(data) is bytes
        assert not self.calls, "written to after it was closed"
        self.data += data

    def finish(self) -> bytes:
        self.calls.append("finish")
        if self.fails_on_finish:
            raise OSError(28, "No space left on device")
        return bytes(self.data)

    def abort(self) -> None:
        self.calls.append("abort")
        raise FileNotFoundError("already swept")  # must not hide the first error


class Sinks(list[RecordingSink]):
    """Opens sinks and keeps them."""

    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.failing = failing

    def open(self, part: str, name: str | None, _metadata: bytes | None) -> RecordingSink:
        self.append(RecordingSink(part, name, fails_on_finish=part == self.failing))
        return self[-1]

    def all_finished(self) -> bool:
        return all(sink.calls == ["finish"] for sink in self)

    def all_aborted(self) -> bool:
        return all(sink.calls in (["abort"], ["finish", "abort"]) for sink in self)


def part(name: str, content: bytes, *, file: str | None = None, kind: str | None = None) -> bytes:
    named = f'; filename="{file}"' if file is not None else ""
    typed = f"Content-Type: {kind}\r\n" if kind is not None else ""
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\n{typed}\r\n'
    return f"--{BOUNDARY}\r\n{head}".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
METADATA = part("metadata", b'{"subject": "x"}', kind="application/json")
MAIN = part("main", b"%PDF-1.7 main", file="Quyết định.pdf", kind="application/pdf")
ANNEX = part("annex", b"one", file="phụ lục 1.xlsx")
BODY = METADATA + MAIN + ANNEX + part("annex", b"two", file="2.txt") + END


def take(
    body: bytes,
    sinks: Sinks,
    chunks: list[int] | None = None,
    limits: Limits = SMALL,
    content_type: str | None = CONTENT_TYPE,
) -> Received[bytes]:
    receiver = MultipartReceiver(content_type, sinks.open, limits)
    for piece in cut(body, chunks or []):
        receiver.feed(piece)
    receiver.end()
    return receiver.finish()


def cut(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield body[at : at + size]
        at += size
    yield body[at:]


def refused(body: bytes, limits: Limits = SMALL, content_type: str | None = CONTENT_TYPE) -> str:
    sinks = Sinks()
    with pytest.raises(DocflowError) as caught:
        take(body, sinks, limits=limits, content_type=content_type)
    assert sinks.all_aborted()
    return caught.value.code


def test_a_good_body_gives_metadata_main_and_annexes_in_order() -> None:
    sinks = Sinks()
    received = take(BODY, sinks)
    assert received.metadata == b'{"subject": "x"}'
    assert received.main.name == "Quyết định.pdf"
    assert received.main.declared_type == "application/pdf"
    assert (received.main.result, received.main.size) == (b"%PDF-1.7 main", 13)
    assert [(a.name, a.result) for a in received.annexes] == [
        ("phụ lục 1.xlsx", b"one"),
        ("2.txt", b"two"),
    ]
    assert sinks.all_finished()
    assert (sinks[0].part, sinks[0].name) == ("main", "Quyết định.pdf")


def test_the_order_of_parts_is_free() -> None:
    received = take(ANNEX + MAIN + METADATA + END, Sinks())
    assert received.main.result == b"%PDF-1.7 main"
    assert [annex.result for annex in received.annexes] == [b"one"]


def test_a_preamble_newline_and_an_epilogue_are_passed_over() -> None:
    assert take(b"\r\n" + METADATA + MAIN + END + b"epilogue", Sinks()).annexes == ()


def test_empty_and_boundary_like_content_is_kept_byte_for_byte() -> None:
    tricky = f"\r\n--{BOUNDARY[:-1]}\r\n\r\r\n--{BOUNDARY}x\r\n--".encode()
    received = take(METADATA + part("main", tricky) + part("annex", b"") + END, Sinks())
    assert received.main.result == tricky
    assert received.main.name is None
    assert received.annexes[0].result == b""


def test_metadata_need_not_state_its_type() -> None:
    assert take(part("metadata", b"{}") + MAIN + END, Sinks()).metadata == b"{}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (MAIN + END, "multipart-part-missing"),
        (METADATA + END, "multipart-part-missing"),
        (END, "multipart-part-missing"),
        (METADATA + MAIN + MAIN + END, "multipart-part-duplicate"),
        (METADATA + MAIN + METADATA + END, "multipart-part-duplicate"),
        (METADATA + MAIN + part("file", b"x") + END, "multipart-part-unknown"),
        (METADATA + MAIN + part("Main", b"x") + END, "multipart-part-unknown"),
        (METADATA + MAIN + part("x" * 3000, b"x") + END, "multipart-part-unknown"),
        (METADATA + MAIN + ANNEX * 4 + END, "multipart-too-many-parts"),
        (METADATA + part("main", b"x" * 5001) + END, "too-large"),
        (METADATA + part("main", b"x" * 4999) * 1 + ANNEX + b"x" * 20_000, "too-large"),
        (part("metadata", b"x" * 501) + MAIN + END, "too-large"),
        (part("metadata", b"{}", kind="text/xml") + MAIN + END, "unsupported-content"),
        (METADATA + MAIN, "multipart-malformed"),
        (METADATA + MAIN + END[:-4], "multipart-malformed"),
        (METADATA + MAIN[:-9], "multipart-malformed"),
        (b"", "multipart-malformed"),
        (b"{}", "multipart-malformed"),
        (MAIN.replace(b'name="main"; ', b""), "multipart-malformed"),
        (MAIN.replace(b"form-data", b"attachment"), "multipart-malformed"),
        (MAIN.replace(b"Content-Disposition", b"X-Other"), "multipart-malformed"),
        (MAIN.replace(b"Content-Type", b"Content-Disposition"), "multipart-malformed"),
        (MAIN.replace(b'"main"', b'"main"; name="annex"'), "multipart-malformed"),
        (MAIN.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1),
         "multipart-malformed"),
        (MAIN.replace(b"Content-Type", b"X" * 5000), "multipart-malformed"),
        (MAIN.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * 9 + b"\r\n", 1), "multipart-malformed"),
        (MAIN.replace("Quyết".encode(), b"\xff\xfe"), "multipart-malformed"),
        (MAIN.replace("Quyết".encode(), b"a\x00b"), "multipart-malformed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_code_and_nothing_is_kept(body: bytes, code: str) -> None:
    assert refused(body) == code


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        (None, "unsupported-content"),
        ("", "unsupported-content"),
        ("application/json", "unsupported-content"),
        ("multipart/mixed; boundary=x", "unsupported-content"),
        ("multipart/form-data", "multipart-malformed"),
        ("multipart/form-data; boundary=", "multipart-malformed"),
        ('multipart/form-data; boundary=""', "multipart-malformed"),
        (f"multipart/form-data; boundary={'x' * 71}", "multipart-malformed"),
        ('multipart/form-data; boundary="ends in space "', "multipart-malformed"),
        ("multipart/form-data; boundary=a; boundary=b", "multipart-malformed"),
        ("multipart/form-data; boundary=Đ", "multipart-malformed"),
        ("multipart/form-data\r\nX: y; boundary=a", "multipart-malformed"),
    ],
)
def test_a_content_type_without_a_usable_boundary_is_refused(
    content_type: str | None, code: str
) -> None:
    assert refused(BODY, content_type=content_type) == code


def test_a_quoted_boundary_works() -> None:
    quoted = f'Multipart/Form-Data; charset=utf-8; Boundary="{BOUNDARY}"'
    assert take(BODY, Sinks(), content_type=quoted).main.size == 13


def test_limits_are_inclusive() -> None:
    body = part("metadata", b"x" * 500) + part("main", b"y" * 5000) + ANNEX * 3 + END
    exact = Limits(file_bytes=5000, total_bytes=len(body), metadata_bytes=500, annexes=3)
    assert take(body, Sinks(), limits=exact).main.size == 5000
    one_less = Limits(file_bytes=5000, total_bytes=len(body) - 1, metadata_bytes=500, annexes=3)
    assert refused(body, limits=one_less) == "too-large"


def test_a_refusal_comes_before_the_rest_of_the_body() -> None:
    sinks = Sinks()
    receiver = MultipartReceiver(CONTENT_TYPE, sinks.open, SMALL)
    receiver.feed(METADATA + MAIN)
    with pytest.raises(DocflowError):
        receiver.feed(part("unknown", b"")[:-2])
    assert sinks.all_aborted()
    with pytest.raises(RuntimeError):
        receiver.feed(END)


def test_a_sink_that_cannot_finish_takes_the_finished_ones_with_it() -> None:
    sinks = Sinks(failing="annex")
    with pytest.raises(OSError, match="No space left"):
        take(BODY, sinks)
    assert [sink.calls for sink in sinks] == [["finish", "abort"], ["finish", "abort"], ["abort"]]


def test_abort_twice_aborts_each_sink_once() -> None:
    sinks = Sinks()
    receiver = MultipartReceiver(CONTENT_TYPE, sinks.open, SMALL)
    receiver.feed(METADATA + MAIN)
    receiver.abort()
    receiver.abort()
    assert [sink.calls for sink in sinks] == [["abort"]]


def test_a_client_that_goes_away_leaves_nothing() -> None:
    sinks = Sinks()

    async def leaving() -> AsyncIterator[bytes]:
        yield METADATA + MAIN[:-5]
        raise ConnectionResetError

    async def request() -> None:
        await receive(leaving(), CONTENT_TYPE, sinks.open, SMALL)

    with pytest.raises(ConnectionResetError):
        anyio.run(request)
    assert [sink.calls for sink in sinks] == [["abort"]]


def test_a_whole_stream_is_received_on_the_event_loop() -> None:
    sinks = Sinks()

    async def stream() -> AsyncIterator[bytes]:
        for piece in cut(BODY, [7] * 50):
            yield piece

    async def request() -> Received[bytes]:
        return await receive(stream(), CONTENT_TYPE, sinks.open, SMALL)

    assert anyio.run(request) == take(BODY, Sinks())
    assert sinks.all_finished()


@given(st.lists(st.integers(0, 60), max_size=60), st.binary(max_size=300), st.binary(max_size=60))
def test_any_chunking_gives_the_same_result(sizes: list[int], main: bytes, extra: bytes) -> None:
    near = f"\r\n--{BOUNDARY}".encode()[: len(extra)]
    body = METADATA + part("main", main + near + extra) + part("annex", extra) + END
    received = take(body, Sinks(), sizes)
    assert received.main.result == main + near + extra
    assert received.annexes[0].result == extra
    assert received == take(body, Sinks())


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "drop", "repeat", "insert", "cut", "swap"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 40),
        st.sampled_from([b"\r", b"\n", b"\x00", b'"', b";", b"--", b":", b"\xff", END, MAIN[:60]]),
    ),
    min_size=1,
    max_size=4,
)


def mutate(body: bytes, kind: str, place: float, length: int, junk: bytes) -> bytes:
    at = int(place * len(body))
    match kind:
        case "flip":
            return body[:at] + bytes(b ^ 0x21 for b in body[at : at + 1]) + body[at + 1 :]
        case "drop":
            return body[:at] + body[at + length :]
        case "repeat":
            return body[: at + length] + body[at:]
        case "insert":
            return body[:at] + junk + body[at:]
        case "cut":
            return body[:at]
        case _:
            return body[at:] + body[:at]


@given(MUTATIONS, st.lists(st.integers(0, 80), max_size=10))
def test_a_mutated_body_is_taken_or_refused_but_never_leaks(
    mutations: list[tuple[str, float, int, bytes]], sizes: list[int]
) -> None:
    body = BODY
    for mutation in mutations:
        body = mutate(body, *mutation)
    sinks = Sinks()
    try:
        take(body, sinks, sizes)
    except DocflowError:
        closed_well = sinks.all_aborted()
    else:
        closed_well = sinks.all_finished()
    assert closed_well
