"""A large file over HTTP without holding it: sent in pieces, and compared as it comes back."""

import contextlib

from bench.client import Answer, Http, WrongResultError, request
from bench.content import CHUNK_BYTES, Content, Expected

_SECONDS = 900.0  # the service stores all of it before it answers


class LargeHttp(Http):
    """A connection for bodies that do not fit into memory."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._socket.settimeout(_SECONDS)

    def put_pdf(self, path: str, token: str, etag: str, content: Content) -> Answer:
        """Put a PDF as a raw body and return the answer.

        Raises:
            WrongResultError: if it is not taken.
        """
        head = request("PUT", path, token, kind="application/pdf", match=etag)
        self._socket.sendall(
            head.replace(b"content-length: 0", b"content-length: %d" % content.size)
        )
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer says why
            for chunk in content.chunks():
                self._socket.sendall(chunk)
        return self.answer(200, f"PUT {path}")

    def compare(self, path: str, token: str, content: Content) -> None:
        """Get a file and compare all of it with what was sent.

        Raises:
            WrongResultError: if it is not what was sent.
        """
        self._socket.sendall(request("GET", path, token))
        head, _, body = self._head()
        if head[9:12] != b"200":
            raise WrongResultError(f"GET {path}: {head[9:12].decode()} instead of 200")
        expected = Expected(content)
        expected.feed(body)
        left = content.size - len(body)
        while left > 0:
            data = self._socket.recv(min(left, CHUNK_BYTES))
            if not data:
                raise WrongResultError("the service closed the connection within a file")
            expected.feed(data)
            left -= len(data)
        expected.end()
