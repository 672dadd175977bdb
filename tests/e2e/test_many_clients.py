"""Two hundred clients at once against one served office: every number once, none left out."""

import asyncio
import json
import time
from collections import Counter
from typing import Any

import httpx2
import pytest

from tests.e2e.served import Service
from tests.office_support import CLERK, HEAD, SPECIALIST

pytestmark = pytest.mark.slow

CLIENTS = 200
SECONDS = 60.0


class Client:
    """One of many: a connection pool that all share, a token for each who acts."""

    def __init__(self, http: httpx2.AsyncClient, tokens: dict[str, str]) -> None:
        self.http = http
        self.tokens = tokens
        self.statuses: Counter[int] = Counter()

    async def call(self, login: str, method: str, url: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.tokens[login]}"} | options.pop("headers", {})
        answer = await self.http.request(method, url, headers=headers, **options)
        self.statuses[answer.status_code] += 1
        return answer

    async def post(self, login: str, content: bytes, **metadata: Any) -> dict[str, Any]:
        parts = {
            "metadata": (None, json.dumps(metadata).encode(), "application/json"),
            "main": ("van-ban.pdf", content, "application/pdf"),
        }
        answer = await self.call(login, "POST", "/v1/documents", files=parts)
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def fire(self, login: str, document_id: str, trigger: str, version: int) -> int:
        answer = await self.call(
            login,
            "POST",
            f"/v1/documents/{document_id}/transitions",
            json={"trigger": trigger},
            headers={"If-Match": f'"{version}"'},
        )
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])


def together(service: Service, *logins: str) -> tuple[Client, httpx2.AsyncClient]:
    tokens = {login: service.login(login).token or "" for login in logins}
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    http = httpx2.AsyncClient(base_url=service.address, timeout=SECONDS, limits=limits)
    return Client(http, tokens), http


def entries(service: Service, book: str) -> dict[int, str]:
    """Every number of a book, with the document that has it."""
    clerk = service.login(CLERK)
    found: list[tuple[int, str]] = []
    url: str | None = f"/v1/books/{book}/entries?limit=200"
    while url:
        page = clerk.request("GET", url)
        found += [(item["number"], item["document"]["id"]) for item in page.json()["items"]]
        url = page.links["next"]["url"] if "next" in page.links else None
    assert len(dict(found)) == len(found), "a number was given twice"
    return dict(found)


def test_two_hundred_clients_number_without_double_or_gap(service: Service) -> None:
    before = {book: entries(service, book) for book in ("incoming", "outgoing")}
    files = [service.letter for _ in range(CLIENTS)]
    client, http = together(service, CLERK, SPECIALIST, HEAD)

    async def incoming(number: int) -> str:
        posted = await client.post(
            CLERK, files[number], direction="incoming", type="CV",
            subject=f"Đến {number}", issuer="Sở Y tế",
        )  # fmt: skip
        await client.fire(CLERK, posted["id"], "register", posted["version"])
        return str(posted["id"])

    async def outgoing(number: int) -> str:
        posted = await client.post(
            SPECIALIST, files[number], direction="outgoing", type="QĐ",
            subject=f"Đi {number}", recipients=["STC"],
        )  # fmt: skip
        version = await client.fire(SPECIALIST, posted["id"], "submit", posted["version"])
        await client.fire(HEAD, posted["id"], "approve", version)
        return str(posted["id"])

    async def everyone() -> list[str]:
        async with http:
            work = [(incoming if n % 2 else outgoing)(n) for n in range(CLIENTS)]
            return await asyncio.gather(*work)

    started = time.monotonic()
    made = asyncio.run(everyone())
    assert time.monotonic() - started < SECONDS
    assert set(client.statuses) == {200, 201}
    assert len(set(made)) == CLIENTS
    numbered: set[str] = set()
    for book, earlier in before.items():
        now = entries(service, book)
        assert sorted(now) == list(range(1, len(earlier) + CLIENTS // 2 + 1))
        assert {number: now[number] for number in earlier} == earlier
        numbered |= {document for number, document in now.items() if number not in earlier}
    assert numbered == set(made)
    said = service.command("audit", "verify")
    assert said.returncode == 0, said.stdout + said.stderr


def test_of_many_who_fire_on_one_version_one_wins(service: Service) -> None:
    document = service.incoming()
    client, http = together(service, CLERK, "linh.pn")

    async def attempt(number: int) -> httpx2.Response:
        return await client.call(
            (CLERK, "linh.pn")[number % 2],
            "POST",
            f"/v1/documents/{document['id']}/transitions",
            json={"trigger": "register"},
            headers={"If-Match": f'"{document["version"]}"'},
        )

    async def everyone() -> list[httpx2.Response]:
        async with http:
            return await asyncio.gather(*(attempt(number) for number in range(20)))

    answers = asyncio.run(everyone())
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 19}
    lost = [answer.json() for answer in answers if answer.status_code == 412]
    assert {(problem["code"], problem["state"]) for problem in lost} == {
        ("stale-version", "registered")
    }
    numbers = [n for n, holder in entries(service, "incoming").items() if holder == document["id"]]
    assert len(numbers) == 1


def test_a_request_repeated_by_many_at_once_is_carried_out_once(service: Service) -> None:
    client, http = together(service, CLERK)
    content, word = service.letter, service.unique()
    metadata = {"direction": "incoming", "type": "CV", "subject": word, "issuer": "Sở Y tế"}
    parts = {
        "metadata": (None, json.dumps(metadata).encode(), "application/json"),
        "main": ("van-ban.pdf", content, "application/pdf"),
    }

    async def attempt() -> httpx2.Response:
        headers = {"Idempotency-Key": word}
        return await client.call(CLERK, "POST", "/v1/documents", files=parts, headers=headers)

    async def everyone() -> list[httpx2.Response]:
        async with http:
            return await asyncio.gather(*(attempt() for _ in range(20)))

    answers = asyncio.run(everyone())
    assert {answer.status_code for answer in answers} == {201}
    (made,) = {answer.json()["id"] for answer in answers}
    (found,) = service.login(CLERK).read("/v1/documents", text=word)["items"]
    assert found["id"] == made
