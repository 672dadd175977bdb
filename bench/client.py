"""Clients in processes of their own: raw sockets, so that they cost next to nothing of the machine.

Each client holds one kept-alive connection. What it will send is built before the clock starts; the
time of the dear part, composing bodies, is no part of any figure.
"""

import json
import multiprocessing
import secrets
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

MARKER = b"bench-0000000000000000"  # in the sample PDF, replaced by as many random characters
_BOUNDARY = "bench-boundary-5f1d"
_SECONDS = 60.0


class WrongResultError(Exception):
    """The service did not do what it was asked; the run is worth nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, the headers docflow's clients read, and the body."""

    status: int
    etag: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes, wanted: int | None) -> Answer:
        """Send a whole request and return the answer.

        Raises:
            WrongResultError: if its status is not `wanted` (None: whatever it is).
        """
        self._socket.sendall(request)
        return self.answer(wanted, request.split(b"\r\n", 1)[0].decode())

    def answer(self, wanted: int | None, asked: str) -> Answer:
        """Return the next answer, as `ask` does; `asked` says of what, should it be wrong."""
        head, _, body = self._head()
        status = int(head[9:12])
        fields = dict(
            line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line
        )
        parts, missing = [body], int(fields.get(b"content-length", 0)) - len(body)
        while missing > 0:
            part = self._socket.recv(min(missing, 2**18))
            if not part:
                raise WrongResultError("the service closed the connection within an answer")
            parts.append(part)
            missing -= len(part)
        answer = Answer(status, fields.get(b"etag", b"").decode(), b"".join(parts))
        if wanted is not None and status != wanted:
            raise WrongResultError(f"{asked}: {status} instead of {wanted}: {answer.body[:600]!r}")
        return answer

    def _head(self) -> tuple[bytes, bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            part = self._socket.recv(2**16)
            if not part:
                raise WrongResultError("the service closed the connection")
            data += part
        return data.partition(b"\r\n\r\n")

    def close(self) -> None:
        self._socket.close()


def request(
    method: str, path: str, token: str, body: bytes = b"", kind: str = "", *, match: str = ""
) -> bytes:
    """Return a request's bytes."""
    lines = [f"{method} {path} HTTP/1.1", "host: bench", f"authorization: Bearer {token}"]
    if match:
        lines.append(f"if-match: {match}")
    if body or method in {"POST", "PUT"}:
        lines += [f"content-type: {kind or 'application/json'}", f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_request(method: str, path: str, token: str, value: Any, *, match: str = "") -> bytes:
    body = json.dumps(value, ensure_ascii=False).encode()
    return request(method, path, token, body, match=match)


def fresh(pdf: bytes) -> bytes:
    """Return the sample PDF with a marker of its own: other bytes, the same document."""
    return pdf.replace(MARKER, b"bench-" + secrets.token_hex(8).encode(), 1)


def multipart_post(token: str, metadata: dict[str, Any], pdf: bytes) -> bytes:
    data = json.dumps(metadata, ensure_ascii=False).encode()
    disposition = 'content-disposition: form-data; name="{}"{}\r\ncontent-type: {}\r\n\r\n'
    body = b"".join(
        [
            f"--{_BOUNDARY}\r\n".encode(),
            disposition.format("metadata", "", "application/json").encode(),
            data,
            f"\r\n--{_BOUNDARY}\r\n".encode(),
            disposition.format("main", '; filename="cong-van.pdf"', "application/pdf").encode(),
            pdf,
            f"\r\n--{_BOUNDARY}--\r\n".encode(),
        ]
    )
    return request(
        "POST", "/v1/documents", token, body, f"multipart/form-data; boundary={_BOUNDARY}"
    )


# -- what a client does, by name ----------------------------------------------------------------


def _multipart(http: Http, plan: dict[str, Any]) -> Callable[[], list[Any]]:
    requests = [
        multipart_post(plan["token"], metadata, fresh(plan["pdf"]))
        for metadata in plan["documents"]
    ]

    def run() -> list[Any]:
        return [http.ask(item, 201).json()["id"] for item in requests]

    return run


def _raw(http: Http, plan: dict[str, Any]) -> Callable[[], list[Any]]:
    """Create, then PUT the file: two requests for one document."""
    made = [
        (json_request("POST", "/v1/documents", plan["token"], metadata), fresh(plan["pdf"]))
        for metadata in plan["documents"]
    ]

    def run() -> list[Any]:
        ids = []
        for create, pdf in made:
            answer = http.ask(create, 201)
            document_id = answer.json()["id"]
            path = f"/v1/documents/{document_id}/files/main"
            put = request("PUT", path, plan["token"], pdf, "application/pdf", match=answer.etag)
            http.ask(put, 200)
            ids.append(document_id)
        return ids

    return run


def _requests(http: Http, plan: dict[str, Any]) -> Callable[[], list[Any]]:
    """Send what the plan has, one after the other; return the body of those that are wanted."""

    def run() -> list[Any]:
        answers = []
        for item, wanted, keep in plan["requests"]:
            answer = http.ask(item, wanted)
            if keep:
                answers.append(answer.json())
        return answers

    return run


def _release(http: Http, plan: dict[str, Any]) -> Callable[[], list[Any]]:
    """Have approved documents signed and released; return the released ones."""

    def settled(document_id: str) -> Answer:
        read = request("GET", f"/v1/documents/{document_id}", plan["leader"])
        while True:
            answer = http.ask(read, 200)
            pending = answer.json()["pending"]
            if pending is None:
                return answer
            if pending["failed"]:
                raise WrongResultError(f"the job failed: {pending['error']}")
            time.sleep(0.02)

    def run() -> list[Any]:
        released = []
        for document_id, version in plan["documents"]:
            path = f"/v1/documents/{document_id}/transitions"
            etag = f'"{version}"'
            for trigger, token in (("sign", plan["leader"]), ("release", plan["clerk"])):
                fire = json_request("POST", path, token, {"trigger": trigger}, match=etag)
                http.ask(fire, 202)
                answer = settled(document_id)
                etag = answer.etag
            released.append(answer.json())
        return released

    return run


_WORK = {"multipart": _multipart, "raw": _raw, "requests": _requests, "release": _release}


@dataclass(frozen=True, slots=True)
class Round:
    """What all clients did at once.

    Attributes:
        seconds: from the start of all to the end of the last.
        results: what each client brought, in the order of the plans.
        client_seconds: processor time that the clients used, in all.
    """

    seconds: float
    results: list[list[Any]]
    client_seconds: float

    def flat(self) -> list[Any]:
        return [item for result in self.results for item in result]


@dataclass
class Clients:
    """A team of client processes, kept for the whole run."""

    count: int = 8
    _pipes: list[Connection] = field(default_factory=list)
    _processes: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        for _ in range(self.count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            _told(pipe)

    def run(self, port: int, work: str, plans: Sequence[dict[str, Any]]) -> Round:
        """Let each client do `work` by its plan, all at once.

        Raises:
            WrongResultError: if any of them saw something wrong.
        """
        pipes = self._pipes[: len(plans)]
        for pipe, plan in zip(pipes, plans, strict=True):
            pipe.send((port, work, plan))
        for pipe in pipes:
            _told(pipe)
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        told = [_told(pipe) for pipe in pipes]
        seconds = time.perf_counter() - started
        return Round(seconds, [result for result, _ in told], sum(used for _, used in told))

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)


def _told(pipe: Connection) -> Any:
    kind, value = pipe.recv()
    if kind == "wrong":
        raise WrongResultError(value)
    return value


def _serve(pipe: Connection) -> None:
    """A client's life: prepare, wait for the start, work, report."""
    pipe.send(("ready", None))
    while True:
        try:
            port, work, plan = pipe.recv()
        except EOFError:
            return
        try:
            http = Http(port)
            run = _WORK[work](http, plan)
            pipe.send(("ready", None))
            pipe.recv()
            used = time.process_time()
            result = run()
            pipe.send(("done", (result, time.process_time() - used)))
            http.close()
        except WrongResultError as error:
            pipe.send(("wrong", str(error)))
        except Exception:  # noqa: BLE001 - whatever it is, the run must hear of it
            pipe.send(("wrong", traceback.format_exc()))
