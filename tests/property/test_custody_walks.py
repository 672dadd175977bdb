"""No sequence of calls lets one person alone read what they are not cleared for or have no reason to know.

Each walk is one person of the office, or several who never decide for each other, calling everything
that custody, clearances and reclassification offer, at random, on a real database. After each call the
person reads no more than before; and no document is lowered.
"""

import dataclasses
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.custody import breakglass, lowering, recovery
from docflow.custody.model import Custody
from docflow.documents import reclassify
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import DocflowError
from tests.conftest import START
from tests.custody_support import (
    AUDITOR,
    CLERK,
    LEADER,
    OUTSIDER,
    REASON,
    SPECIALIST,
    UNCLEARED_CLERK,
    Keeping,
)
from tests.office_support import ADMINISTRATOR, HEAD, copy_instance

PEOPLE = (
    ADMINISTRATOR, AUDITOR, CLERK, HEAD, LEADER, OUTSIDER, SPECIALIST, UNCLEARED_CLERK, "tuan.va",
)  # fmt: skip
CALLS = (
    "ask", "approve", "refuse", "end", "lower", "approve-lowering", "recover", "approve-recovery",
    "use-recovery", "clear", "raise", "patch", "wait",
)  # fmt: skip


class Roomy(Keeping):
    """One instance serves all walks: a person's requests of earlier ones are no bound here."""

    @property
    def custody(self) -> Custody:
        return dataclasses.replace(super().custody, open_requests=10_000)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Any:
    folder = tmp_path_factory.mktemp("custody")
    copy_instance(prepared, folder)
    keeping = Roomy(folder, f"sqlite:///{folder / 'docflow.sqlite3'}", ManualClock(START))
    yield keeping
    keeping.instance.close()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    login=st.sampled_from(PEOPLE),
    calls=st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_nobody_opens_a_document_alone(
    walked: Keeping, login: str, calls: list[tuple[str, int]]
) -> None:
    document, other = walked.confidential(), walked.confidential()
    read_before = {name: walked.reads(login, name) for name in (document, other)}
    requests = [walked.ask(OUTSIDER, other)] if login != OUTSIDER else []
    alone = Alone(walked, login, document, requests)
    for call, number in calls:
        with suppress(DocflowError):
            alone.call(call, number)
        assert walked.reads(login, document) <= read_before[document], (login, call)
        row = walked.instance.row(document)
        assert row["classification"] == "confidential"
        assert walked.actor(login).granted == frozenset()


class Alone:
    """One person who calls everything there is about one document."""

    def __init__(self, keeping: Keeping, login: str, document: str, requests: list[str]) -> None:
        self.keeping = keeping
        self.login = login
        self.document = document
        self.requests = requests

    def call(self, name: str, number: int) -> None:
        keeping, document = self.keeping, self.document
        custody, desk = keeping.custody, keeping.instance.services.desk
        actor = keeping.actor(self.login)
        own = [row["id"] for row in keeping.instance.rows("custody_requests", document_id=document)]
        request = own[number % len(own)] if own else document
        match name:
            case "ask":
                breakglass.ask(custody, actor, document=document, reason=REASON)
            case "approve":
                breakglass.approve(custody, actor, request, REASON)
            case "refuse":
                breakglass.refuse(custody, actor, request, REASON)
            case "end":
                breakglass.end(custody, actor, request)
            case "lower":
                lowering.ask(custody, actor, document, to="internal", reason=REASON)
            case "approve-lowering":
                lowering.approve(custody, actor, request, REASON)
            case "recover":
                recovery.ask(custody, actor, document, reason=REASON)
            case "approve-recovery":
                recovery.approve(custody, actor, request, REASON)
            case "use-recovery":
                with desk.database.unit_of_work(actor) as uow:
                    recovery.require_approved(uow, actor, request)
                raise AssertionError("a recovery copy was released to one person alone")
            case "clear":
                keeping.instance.services.clearances.grant(
                    actor, actor.id, level="confidential", reason=REASON,
                    expires_at=keeping.clock.now() + timedelta(days=1),
                )  # fmt: skip
            case "raise":
                version = keeping.instance.row(document)["version"]
                reclassify.raise_classification(
                    desk, actor, document, "internal", reason=REASON, if_version=version
                )
            case "patch":
                from docflow.documents import change

                version = keeping.instance.row(document)["version"]
                changes = {"classification": "public"}
                change.edit(desk, actor, document, changes, if_version=version)
            case "wait":
                keeping.clock.advance(timedelta(hours=1 + 40 * number))
