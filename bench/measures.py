"""What is measured: each function does one thing `repeats` times beside its baseline."""

import itertools
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import baselines, sample
from bench.baselines import Bare
from bench.client import Clients, WrongResultError, fresh, json_request, request
from bench.figures import Figure, bounded, compared, taking_turns
from bench.instance import Instance, Service

PROCEDURE = (
    ("register", "clerk", {}),
    ("route", "leader", {"unit": "VP-TH"}),
    ("assign", "head", {"assignee": "khoa.ld"}),
    ("start", "specialist", {}),
    ("close", "specialist", {"result": "xong"}),
)
_MEGA = 2**20


@dataclass
class Stage:
    """A served instance, the clients, and the bare things of one database."""

    database: str
    instance: Instance
    service: Service
    clients: Clients
    bare: Bare
    repeats: int
    count: int  # documents of each client in one repeat
    pdf: bytes = field(default_factory=sample.pdf)
    numbers: list[int] = field(default_factory=list)  # of every incoming document registered here

    def token(self, role: str) -> str:
        return self.instance.tokens[role]

    def shares(self, items: Sequence[Any]) -> list[Any]:
        """Deal items out to the clients."""
        return [items[n :: self.clients.count] for n in range(self.clients.count)]


def _incoming() -> dict[str, Any]:
    return {
        "direction": "incoming",
        "type": "CV",
        "subject": f"Bench {secrets.token_hex(4)}",
        "issuer": "Sở Tài chính",
        "issuer_symbol": f"{secrets.token_hex(6)}/STC",
        "issuer_date": "2026-03-02",
    }


def _post(stage: Stage, work: str, count: int) -> tuple[float, list[str]]:
    plans = [
        {
            "token": stage.token("clerk"),
            "pdf": stage.pdf,
            "documents": [_incoming() for _ in range(count)],
        }
        for _ in range(stage.clients.count)
    ]
    done = stage.clients.run(stage.service.port, work, plans)
    ids = done.flat()
    if len(set(ids)) != count * stage.clients.count:
        raise WrongResultError(f"{len(set(ids))} documents were made, not {count * len(plans)}")
    return len(ids) / done.seconds, ids


def posts(stage: Stage) -> Iterator[Figure]:
    """Post 100 KB documents, in one multipart request and in two raw ones."""
    total = stage.count * stage.clients.count
    for work, limit in (("multipart", 0.5), ("raw", None)):
        pairs = taking_turns(
            stage.repeats,
            lambda _, work=work: _post(stage, work, stage.count)[0],
            lambda _: stage.bare.posts(stage.pdf, total),
        )
        yield compared(
            f"post 100 KB, {work}",
            stage.database,
            pairs,
            "/s",
            at_least=limit,
            note="baseline: SHA-256, store write, one-row transaction, 8 threads",
        )


def _walk(stage: Stage, ids: Sequence[str]) -> float:
    """Fire the five transitions of every document; return transitions a second."""
    plans = [
        {
            "requests": [
                (
                    json_request(
                        "POST",
                        f"/v1/documents/{document_id}/transitions",
                        stage.token(role),
                        {"trigger": trigger, "asked": asked},
                        match=f'"{version}"',
                    ),
                    200,
                    trigger == "register",
                )
                for document_id in share
                for version, (trigger, role, asked) in enumerate(PROCEDURE, 1)
            ]
        }
        for share in stage.shares(ids)
    ]
    done = stage.clients.run(stage.service.port, "requests", plans)
    stage.numbers += [int(answer["symbol"]) for answer in done.flat()]
    return len(ids) * len(PROCEDURE) / done.seconds


def transitions(stage: Stage) -> Iterator[Figure]:
    """Walk incoming documents from received to closed; check every number afterwards."""
    ready = [_post(stage, "multipart", stage.count)[1] for _ in range(stage.repeats)]
    fired = stage.count * stage.clients.count * len(PROCEDURE)
    pairs = taking_turns(
        stage.repeats, lambda n: _walk(stage, ready[n]), lambda _: stage.bare.transitions(fired)
    )
    check_numbers(stage)
    yield compared(
        "fire a transition",
        stage.database,
        pairs,
        "/s",
        at_least=0.25,
        note="baseline: SELECT FOR UPDATE, UPDATE, INSERT in one transaction, 8 threads",
    )


def check_numbers(stage: Stage) -> None:
    """Refuse a run in which a number was given twice or left out."""
    if sorted(stage.numbers) != list(range(1, len(stage.numbers) + 1)):
        raise WrongResultError("the register has a double or a gap")


def evidence(stage: Stage, plain: Stage) -> Iterator[Figure]:
    """Compare transitions with the same build whose entries carry no chain and no leaf hash."""
    ours = [_post(stage, "multipart", stage.count)[1] for _ in range(stage.repeats)]
    theirs = [_post(plain, "multipart", stage.count)[1] for _ in range(stage.repeats)]
    pairs = taking_turns(
        stage.repeats, lambda n: _walk(stage, ours[n]), lambda n: _walk(plain, theirs[n])
    )
    check_numbers(stage)
    yield compared(
        "transition with tamper evidence",
        stage.database,
        pairs,
        "/s",
        at_least=0.95,
        note="baseline: chain, leaf hash and canonical leaf switched off, same build",
    )


def _approved(stage: Stage, count: int) -> list[tuple[str, int]]:
    """Bring outgoing drafts to approved; return their ids and versions."""
    draft = {"direction": "outgoing", "type": "QĐ", "subject": "Bench", "recipients": ["STC"]}
    plans = [
        {
            "token": stage.token("specialist"),
            "pdf": stage.pdf,
            "documents": [draft] * len(share),
        }
        for share in stage.shares(range(count))
    ]
    ids = stage.clients.run(stage.service.port, "multipart", plans).flat()
    fire = (("submit", "specialist", 1), ("approve", "head", 2))
    plans = [
        {
            "requests": [
                (
                    json_request(
                        "POST",
                        f"/v1/documents/{document_id}/transitions",
                        stage.token(role),
                        {"trigger": trigger},
                        match=f'"{version}"',
                    ),
                    200,
                    False,
                )
                for document_id in share
                for trigger, role, version in fire
            ]
        }
        for share in stage.shares(ids)
    ]
    stage.clients.run(stage.service.port, "requests", plans)
    return [(document_id, 3) for document_id in ids]


def releases(stage: Stage) -> Iterator[Figure]:
    """Sign, seal, validate and deliver approved documents."""
    count = max(8, stage.count // 2)
    ready = [_approved(stage, count) for _ in range(stage.repeats)]
    keys = stage.instance.folder / "pki"

    def ours(number: int) -> float:
        plans = [
            {"leader": stage.token("leader"), "clerk": stage.token("clerk"), "documents": share}
            for share in stage.shares(ready[number])
        ]
        done = stage.clients.run(stage.service.port, "release", plans)
        _check_released(stage, done.flat(), count)
        return count / done.seconds

    pairs = taking_turns(
        stage.repeats,
        ours,
        lambda _: baselines.documented_loop(
            stage.pdf, keys / "people" / "son.nh.p12", keys / "seal.p12", count
        ),
    )
    yield compared(
        "release (stamp, sign, seal, validate, deliver)",
        stage.database,
        pairs,
        "/s",
        note="baseline: pyHanko's documented loop, two bare P-256 signatures, nothing else",
    )


def _check_released(stage: Stage, released: Sequence[Any], count: int) -> None:
    states = [item["state"] for item in released]
    if states != ["released"] * count:
        raise WrongResultError(f"not every document was released: {states}")
    item = released[0]
    file = next(f for f in item["files"] if f["form"] == "released")
    path = f"/v1/documents/{item['id']}/files/{file['id']}/content"
    done = _ask(stage, request("GET", path, stage.token("clerk")))
    verdict = _ask(
        stage,
        request("POST", "/v1/verifications", stage.token("clerk"), done, "application/pdf"),
    )
    if json.loads(verdict)["indication"] != "TOTAL-PASSED":
        raise WrongResultError(f"a released file does not verify: {verdict[:300]!r}")


def _ask(stage: Stage, asked: bytes) -> bytes:
    from bench.client import Http

    http = Http(stage.service.port)
    try:
        return http.ask(asked, 200).body
    finally:
        http.close()


def sizes(stage: Stage, grow: Callable[[int], None], small: int, large: int) -> Iterator[Figure]:
    """Time list, history, proof and transition among few documents and among many."""
    grow(small)
    before = _timings(stage)
    grow(large)
    after = _timings(stage)
    for what, few in before.items():
        pairs = list(zip(after[what], few, strict=True))
        yield compared(
            f"{what}: {large:,} against {small:,} documents",
            stage.database,
            pairs,
            "ms",
            at_most=1.3,
            note=f"time of one request; scaled down from 10 M against 10 k; {len(pairs)} pairs",
        )


def _timings(stage: Stage) -> dict[str, list[float]]:
    """Return the medians of several rounds, in milliseconds, by what was asked."""
    import statistics
    import time

    from bench.client import Http

    document_id = _post(stage, "multipart", 1)[1][0]
    time.sleep(2.5)  # until the sequencer has given the newest entries their place
    http = Http(stage.service.port)
    auditor, clerk = stage.token("auditor"), stage.token("clerk")
    entry = json.loads(
        http.ask(request("GET", f"/v1/documents/{document_id}/history", auditor), 200).body
    )["items"][0]["id"]
    asked = {
        "list": request("GET", "/v1/documents?direction=incoming&limit=50", clerk),
        "history": request("GET", "/v1/history?limit=50", auditor),
        "proof": request("GET", f"/v1/history/{entry}/proof", auditor),
    }
    found: dict[str, list[float]] = {what: [] for what in (*asked, "transition")}
    for _ in range(stage.repeats):
        for what, item in asked.items():
            times = []
            for _ in range(25):
                started = time.perf_counter()
                http.ask(item, 200)
                times.append((time.perf_counter() - started) * 1000)
            found[what].append(statistics.median(times))
        ids = _post(stage, "multipart", 2)[1]
        times = []
        for fresh_id in ids:
            item = json_request(
                "POST",
                f"/v1/documents/{fresh_id}/transitions",
                clerk,
                {"trigger": "register"},
                match='"1"',
            )
            started = time.perf_counter()
            stage.numbers.append(int(http.ask(item, 200).json()["symbol"]))
            times.append((time.perf_counter() - started) * 1000)
        found["transition"].append(statistics.median(times))
    http.close()
    return found


def memory(stage: Stage, upload_mib: int) -> Iterator[Figure]:
    """Hold the service's memory to its limits: after 200 documents, and over a large upload."""
    made = itertools.count()
    while next(made) * stage.clients.count < 200:
        _post(stage, "multipart", 1)
    yield bounded(
        "memory of the whole service after 200 documents",
        stage.database,
        stage.service.memory_mib(),
        "MiB",
        250,
        "resident set of the process and its children",
    )
    draft = {"direction": "outgoing", "type": "QĐ", "subject": "Bench", "recipients": ["STC"]}
    from bench.client import Http

    http = Http(stage.service.port)
    created = http.ask(json_request("POST", "/v1/documents", stage.token("specialist"), draft), 201)
    large = fresh(sample.pdf(upload_mib * _MEGA))
    path = f"/v1/documents/{created.json()['id']}/files/main"
    put = request(
        "PUT", path, stage.token("specialist"), large, "application/pdf", match=created.etag
    )
    idle = stage.service.memory_mib()
    stage.service.forget_peak()
    http.ask(put, 200)
    http.close()
    yield bounded(
        f"growth of peak memory over a {upload_mib} MiB upload",
        stage.database,
        max(0.0, stage.service.memory_mib("VmHWM") - idle),
        "MiB",
        32,
        "raw body, hashed, opened, stored",
    )
