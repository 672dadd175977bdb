"""What was asked of a card is signed with that card or not at all, whatever happens in between."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from docflow.db import Database, UnitOfWork
from docflow.jobs.model import JobRun
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError
from docflow.release import batches, card_sessions
from docflow.release.studio import Studio
from tests.card_support import Card, give
from tests.office_support import ADMINISTRATOR, LEADER, Instance

NAME = "Nguyễn Hữu Sơn"


class BetweenDatabase(Database):
    """The real database; before its next unit of work begins, something else happens once."""

    def __init__(self, url: str, clock: Any, between: Callable[[], None]) -> None:
        super().__init__(url, clock)
        self._between: list[Callable[[], None]] = [between]

    @contextmanager
    def unit_of_work(self, actor: Actor) -> Iterator[UnitOfWork]:
        while self._between:
            self._between.pop()()
        with super().unit_of_work(actor) as uow:
            yield uow


@contextmanager
def meanwhile(office: Instance, between: Callable[[], None]) -> Iterator[Studio]:
    """Give a studio in which something happens between what is read first and what is written."""
    studio = office.services.studio
    database = BetweenDatabase(office.database.url, office.services.clock, between)
    database.seal_details("document", studio.desk.vault.seal_details)
    yield dataclasses.replace(studio, desk=dataclasses.replace(studio.desk, database=database))
    database.dispose()


def new_card(office: Instance) -> Card:
    return Card.issue(office.folder / "pki", NAME, office.services.clock.now())


def enrolled(office: Instance) -> dict[str, Any]:
    return next(row for row in office.rows("person_certificates", state="enrolled", device="card"))


def revoke(office: Instance) -> None:
    row = enrolled(office)
    office.services.signer_certificates.revoke(
        office.actor(ADMINISTRATOR), row["person_id"], row["id"], "Mất thẻ."
    )


def replace(office: Instance) -> None:
    """Give the person a new card, and take the old one back."""
    revoke(office)
    give(office, new_card(office))


@pytest.mark.parametrize("ending", [revoke, replace])
def test_a_card_that_ends_between_check_and_firing_lets_no_other_key_sign(
    any_instance: Instance, ending: Callable[[Instance], None]
) -> None:
    office = any_instance
    give(office, new_card(office))
    document_id = office.to_approved(office.draft())
    before = office.row(document_id)
    with (
        meanwhile(office, lambda: ending(office)) as studio,
        pytest.raises(ConflictError) as refused,
    ):
        card_sessions.ask(
            studio, office.actor(LEADER), document_id, "sign", {}, if_version=before["version"]
        )
    assert refused.value.code == "certificate-revoked"
    assert office.row(document_id) == before  # nothing was asked of any other key


def test_a_card_that_runs_out_between_check_and_firing_lets_no_other_key_sign(
    instance: Instance, clock: Any
) -> None:
    give(instance, new_card(instance))
    document_id = instance.to_approved(instance.draft())
    before = instance.row(document_id)
    until = enrolled(instance)["valid_until"]

    def pass_by() -> None:
        clock.advance(until - clock.now() + timedelta(seconds=1))

    with meanwhile(instance, pass_by) as studio, pytest.raises(ConflictError) as refused:
        card_sessions.ask(
            studio, instance.actor(LEADER), document_id, "sign", {}, if_version=before["version"]
        )
    assert refused.value.code == "signer-expired"
    assert instance.row(document_id) == before


def test_a_batch_that_a_card_authorised_is_signed_by_that_card_or_refused(
    instance: Instance,
) -> None:
    give(instance, new_card(instance))
    ids = [instance.to_approved(instance.draft()) for _ in range(2)]
    wanted = [batches.Wanted(one, instance.row(one)["version"], "sign", None) for one in ids]
    services, leader = instance.services, instance.actor(LEADER)
    no_password = dataclasses.replace(leader, authenticated_at=None)
    batch_id = batches.authorise(services.studio, no_password, wanted)
    revoke(instance)
    job = JobRun(services.engine.get(f"batch-{batch_id}"), lambda _name, function: function())
    batches.run(services.studio, services.authenticator, job)
    shown = batches.show(services.studio, leader, batch_id)
    answers = [(item["state"], item["code"]) for item in shown.items]
    assert answers == [("refused", "certificate-revoked")] * 2
    assert all(instance.row(one)["pending"] is None for one in ids)
