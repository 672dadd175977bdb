"""Bodies without end, over real HTTP: the client is told, memory stays small, nothing is left."""

import socket
from collections.abc import Iterator

from tests.api_support import refused
from tests.e2e.served import Person, Service, until
from tests.office_support import SPECIALIST

MIB = 2**20
LIMIT = 100 * MIB  # of one file, as the service comes


def pieces(mib: int) -> Iterator[bytes]:
    """A body that does not say how long it is."""
    for _ in range(mib):
        yield b"%PDF-1.7".ljust(MIB)


def staged(service: Service) -> int:
    return len(list((service.folder / "staging").iterdir()))


def put(author: Person, url: str, body: bytes | Iterator[bytes]) -> dict[str, object]:
    version = author.read(url)["version"]
    headers = {"If-Match": f'"{version}"', "Content-Type": "application/pdf"}
    answer = author.request("PUT", f"{url}/files/main", content=body, headers=headers)
    return refused(answer, answer.status_code, answer.json()["code"])


def test_a_json_body_is_cut_off_and_its_sender_told(service: Service) -> None:
    author = service.login(SPECIALIST)
    headers = {"Content-Type": "application/json"}
    for url in ("/v1/documents", "/v1/sessions", "/v1/documents/x/transitions"):
        for body in (b" " * (3 * MIB), pieces(30)):
            answer = author.request("POST", url, content=body, headers=headers)
            refused(answer, 413, "too-large")


def test_a_file_without_end_costs_neither_memory_nor_disk(service: Service) -> None:
    author = service.login(SPECIALIST)
    url = f"/v1/documents/{service.draft()['id']}"
    assert put(author, url, pieces(2))["code"] == "pdf-broken"  # warm: what any upload needs
    before = service.memory()
    assert put(author, url, pieces(90))["code"] == "pdf-broken"
    assert put(author, url, pieces(LIMIT // MIB + 1))["code"] == "file-too-large"
    assert service.memory() - before < 40 * MIB
    until(lambda: staged(service) == 0, "the staging area is empty")


def test_a_client_that_goes_away_leaves_nothing(service: Service) -> None:
    author = service.login(SPECIALIST)
    draft = service.draft()
    host, port = service.address.removeprefix("http://").split(":")
    head = (
        f"PUT /v1/documents/{draft['id']}/files/main HTTP/1.1\r\nHost: {host}\r\n"
        f'Authorization: Bearer {author.token}\r\nIf-Match: "{draft["version"]}"\r\n'
        f"Content-Type: application/pdf\r\nContent-Length: {10 * MIB}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + b"%PDF-1.7".ljust(MIB))
        until(lambda: staged(service) == 1, "the body is being received")
    until(lambda: staged(service) == 0, "what was received is dropped")
    assert author.read(f"/v1/documents/{draft['id']}")["version"] == draft["version"]
