"""A small proxy before a real S3 server that does what networks and failing services do.

It speaks HTTP just enough to know where a request and an answer begin and end: each connection
carries one request, forwarded byte for byte (so that signatures hold) with `Connection: close` added.
"""

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass, field

_PIECE = 64 * 1024


@dataclass
class Fault:
    """What happens to the requests it fits; the first fault that fits is taken.

    Args:
        method: of the request; "" fits all.
        within: text in its target; "" fits all.
        skip: how many such requests pass first.
        times: how many it happens to then.
        delay: seconds before anything is forwarded.
        answer: a whole answer, given instead of asking the server.
        cut_request: bytes of the body after which both connections are dropped.
        cut_answer: bytes of the answer's body after which the connection is dropped.
        lose_answer: whether the server works and its answer is lost.
        flip_request: whether a bit of the request's body is changed.
        flip_answer: whether a bit of the answer's body is changed.
        rate: most bytes per second of an answer's body; 0 for as it comes.
        status: other statuses than the server's own, such as {412: 200}.
    """

    method: str = ""
    within: str = ""
    skip: int = 0
    times: int = 1_000_000
    delay: float = 0
    answer: bytes = b""
    cut_request: int = -1
    cut_answer: int = -1
    lose_answer: bool = False
    flip_request: bool = False
    flip_answer: bool = False
    rate: int = 0
    status: dict[int, int] = field(default_factory=dict)


def xml_answer(status: int, code: str, message: str = "") -> bytes:
    """Return an S3 service's error as it goes over the wire."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return plain_answer(status, body, "application/xml")


def plain_answer(status: int, body: bytes, kind: str = "text/html", headers: str = "") -> bytes:
    """Return a whole HTTP answer."""
    head = (
        f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"{headers}Connection: close\r\n\r\n"
    )
    return head.encode() + body


class FaultProxy:
    """Listens on a loopback port and forwards to a server; `faults` may change at any time."""

    def __init__(self, server_port: int) -> None:
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self._server_port = server_port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """The address to use instead of the server's."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # whatever breaks here is a broken connection for both sides, as it would be out there
        with client, contextlib.suppress(OSError, ValueError):
            head, body = _head(client)
            if head:
                self._forward(client, head, body, self._fault(head))

    def _fault(self, head: bytes) -> Fault:
        line = head.split(b"\r\n", 1)[0].decode()
        method, target, _ = line.split(" ")
        with self._lock:
            self.requests.append(f"{method} {target}")
            for fault in self.faults:
                if fault.method not in {"", method} or fault.within not in target:
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault
        return Fault()

    def _forward(self, client: socket.socket, head: bytes, body: bytes, fault: Fault) -> None:
        self._closed.wait(fault.delay)
        length = _length(head)
        if fault.answer:
            _drain(client, length - len(body))
            client.sendall(fault.answer)
            return
        with socket.create_connection(("127.0.0.1", self._server_port)) as server:
            first, rest = head.split(b"\r\n", 1)
            server.sendall(first + b"\r\nConnection: close\r\n" + rest)
            sent = 0
            while True:
                if fault.cut_request >= 0 and sent + len(body) > fault.cut_request:
                    server.sendall(body[: fault.cut_request - sent])
                    return
                server.sendall(_flipped(body) if fault.flip_request and body and not sent else body)
                sent += len(body)
                if sent >= length:
                    break
                body = client.recv(_PIECE)
                if not body:
                    return
            self._answer(client, server, fault)

    def _answer(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        head, body = _head(server)
        if fault.lose_answer:
            return
        status = int(head.split(b" ", 2)[1])
        client.sendall(
            head.replace(b" %d " % status, b" %d " % fault.status.get(status, status), 1)
        )
        sent = 0
        while body or (body := server.recv(_PIECE)):
            if fault.flip_answer and not sent:
                body = _flipped(body)
            if fault.cut_answer >= 0 and sent + len(body) > fault.cut_answer:
                client.sendall(body[: fault.cut_answer - sent])
                return
            for start in range(0, len(body), fault.rate or len(body)):
                client.sendall(body[start : start + (fault.rate or len(body))])
                if fault.rate:
                    time.sleep(1)
            sent += len(body)
            body = b""


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read up to the end of the header lines; return them, and what came of the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_PIECE)
        if not piece:
            return b"", b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


def _drain(connection: socket.socket, size: int) -> None:
    while size > 0 and (piece := connection.recv(_PIECE)):
        size -= len(piece)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
