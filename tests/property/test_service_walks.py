"""Random walks through the real service never reach what the invariants forbid.

Each step is one person firing one trigger (or a job being run, or a file being replaced), at random,
on a real database. After each step: no delivery without both signatures and a number, no byte for a
recipient before that, numbers unique and explained, signed bytes unchanged.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.documents import change
from docflow.documents.intake import for_change
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import DocflowError
from docflow.release import inbox
from docflow.signing.strict import validate_release
from tests.conftest import START
from tests.office_support import (
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    RECIPIENT,
    SPECIALIST,
    Instance,
    copy_instance,
)

_PEOPLE = (SPECIALIST, HEAD, LEADER, CLERK, AUDITOR)
_TRIGGERS = ("submit", "approve", "return", "sign", "release", "archive", "withdraw")
_LIKELY = {
    "draft": ("submit", SPECIALIST),
    "review": ("approve", HEAD),
    "approved": ("sign", LEADER),
    "signed": ("release", CLERK),
    "released": ("archive", CLERK),
}
_STEP = st.one_of(
    st.just(("forward", None, None)),
    st.just(("forward", None, None)),
    st.just(("job", None, None)),
    st.just(("replace", None, None)),
    st.tuples(st.just("fire"), st.sampled_from(_PEOPLE), st.sampled_from(_TRIGGERS)),
)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Any:
    folder = tmp_path_factory.mktemp("walks")
    copy_instance(prepared, folder)
    instance = Instance(folder, f"sqlite:///{folder / 'docflow.sqlite3'}", ManualClock(START))
    yield instance
    instance.close()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(_STEP, min_size=1, max_size=14))
def test_random_walks_never_reach_what_is_forbidden(
    walked: Instance, steps: list[tuple[str, str | None, str | None]]
) -> None:
    document = walked.draft()
    seen: dict[str, str] = {}
    waiting: Any = None
    for kind, login, trigger in steps:
        with suppress(DocflowError):
            waiting = _step(walked, document, kind, login, trigger, waiting)
        _check(walked, document, seen)


def _step(
    instance: Instance,
    document: str,
    kind: str,
    login: str | None,
    trigger: str | None,
    waiting: Any,
) -> Any:
    state = instance.row(document)["state"]
    if kind == "job" or (kind == "forward" and waiting is not None):
        if waiting is not None:
            instance.run(waiting)
        return None
    if kind == "replace":
        version = instance.row(document)["version"]
        received = instance.received(instance.decision.read_bytes() + f"%{version}\n".encode())
        author = instance.actor(SPECIALIST)
        intake = for_change(instance.services.desk, author, document)
        change.put_main(instance.services.desk, author, intake, received, if_version=version)
        return waiting
    if kind == "forward":
        if state not in _LIKELY:
            return waiting
        trigger, login = _LIKELY[state]
    assert login is not None
    assert trigger is not None
    asked = {"reason": "thử"} if trigger in ("return", "withdraw") else {}
    outcome = instance.fire(login, document, trigger, **asked)
    return outcome if outcome.job_id else waiting


def _check(instance: Instance, document: str, seen: dict[str, str]) -> None:
    row = instance.row(document)
    files = instance.rows("files", document_id=document)
    forms = {file["form"] for file in files if file["current"]}
    deliveries = instance.rows("deliveries", document_id=document)
    if row["state"] in ("approved", "signed", "released", "archived"):
        assert row["symbol"] is not None
    if row["state"] in ("signed", "released", "archived"):
        assert "signed" in forms
    assert bool(deliveries) == (row["state"] in ("released", "archived"))
    if row["state"] in ("draft", "review", "withdrawn"):
        assert not deliveries
        if row["state"] == "draft":
            assert forms == {"original"}
    for delivery in deliveries:
        _check_delivery(instance, delivery)
    entries = instance.rows("register_entries", document_id=document)
    live = [entry for entry in entries if entry["voided_at"] is None]
    assert [entry["symbol"] for entry in live] == ([row["symbol"]] if row["symbol"] else [])
    for file in files:  # signed bytes never change, and no row does
        assert seen.setdefault(file["id"], file["sha256"]) == file["sha256"]
    inbox_now = inbox.find(
        instance.services.desk, instance.actor(RECIPIENT), acknowledged=None, before=None, limit=200
    )
    delivered = {item["document_id"] for item in inbox_now}
    assert (document in delivered) == bool(deliveries)


def _check_delivery(instance: Instance, delivery: dict[str, Any]) -> None:
    file = inbox.file_to_download(
        instance.services.desk, instance.actor(RECIPIENT), delivery["id"], None
    )
    copy = instance.folder / "walk.pdf"
    with instance.services.store.open(file["storage_key"]) as stored:
        copy.write_bytes(stored.read())
    now = instance.services.clock.now()
    signers = instance.services.studio.signers
    validate_release(
        copy,
        signers.own_roots,
        person=signers.person(LEADER, "", now).sha256,
        seal=signers.seal(now).sha256,
        now=now,
    )
