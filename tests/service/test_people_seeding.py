import threading

import pytest

from docflow.db import METADATA, Database
from docflow.db.tables import history_entries
from docflow.kernel.actor import Office
from docflow.kernel.errors import ConfigurationError, ConflictError, InvalidInputError
from docflow.people.seed_models import Office as SeedOffice
from docflow.people.seed_models import Person, System
from docflow.people.seeding import Seeded, seed
from docflow.people.tables import accounts, people, recipients, units
from tests.conftest import rows
from tests.service.people_office import (
    ADMINISTRATOR,
    CLERK,
    SPECIALIST,
    SYSTEM,
    SampleOffice,
    cheap,
    password_of,
    sample_seed,
)


def everything(database: Database) -> dict[str, int]:
    return {table.name: rows(database, table) for table in METADATA.sorted_tables}


def test_the_sample_office_is_inserted_with_an_entry_for_each_thing(database: Database) -> None:
    office = sample_seed()
    made = seed(database, office, password_of, hasher=cheap())
    assert made.units == len(office.units) == rows(database, units)
    assert made.people == len(office.people) + len(office.systems) == rows(database, people)
    assert made.recipients == len(office.recipients) == rows(database, recipients)
    assert made.accounts == rows(database, accounts) > len(office.people)
    total = made.units + made.people + made.recipients + made.accounts
    assert rows(database, history_entries) == total


def test_a_second_run_changes_nothing(database: Database) -> None:
    seed(database, sample_seed(), password_of, hasher=cheap())
    before = everything(database)
    assert seed(database, sample_seed(), password_of, hasher=cheap()) == Seeded()
    assert everything(database) == before


def test_without_passwords_there_are_no_accounts_and_they_can_come_later(
    database: Database,
) -> None:
    assert seed(database, sample_seed()).accounts == 0
    only = seed(
        database, sample_seed(), lambda login: password_of(login) if login == CLERK else None
    )
    assert only == Seeded(accounts=1)


def test_what_people_changed_since_stays(database: Database) -> None:
    office = SampleOffice.make(database)
    admin, clerk = office.admin, office.person_id(CLERK)
    held = office.directory.person(admin, clerk).offices
    office.directory.rename_person(admin, clerk, "Tên Mới")
    office.directory.deactivate_person(admin, clerk)
    for item in held:
        office.directory.revoke_office(admin, clerk, unit_id=item.unit_id, role=item.role)
    unit_id = office.unit_id("VP-VT")
    office.directory.change_unit(admin, unit_id, name="Khác", parent_id=office.unit_id("VP"))
    office.recipients.change(admin, office.recipient_id("STC"), active=False)
    office.accounts.reset_password(admin, office.account_id(SPECIALIST), "mật khẩu đã đổi")

    assert seed(database, sample_seed(), password_of, hasher=cheap()) == Seeded()
    person = office.directory.person(admin, clerk)
    assert (person.name, person.active, person.offices) == ("Tên Mới", False, ())
    assert office.directory.unit(admin, unit_id).name == "Khác"
    assert not office.recipients.get(admin, office.recipient_id("STC")).active
    office.accounts.login(SPECIALIST, "mật khẩu đã đổi")


def test_a_seed_that_grew_adds_what_is_new(database: Database) -> None:
    office = sample_seed()
    seed(database, office)
    new = Person(login="moi.nv", name="Người Mới", offices=(SeedOffice(unit="VP", role="clerk"),))
    grown = office.model_copy(update={"people": (*office.people, new)})
    assert seed(database, grown) == Seeded(people=1)


def test_systems_are_integrators_of_their_unit(database: Database) -> None:
    office = SampleOffice.make(database)
    system = office.directory.person(office.admin, office.person_id(SYSTEM))
    assert (system.kind, system.offices) == (
        "system",
        (Office(office.unit_id("VP-TC"), "integrator"),),
    )


def test_recipients_are_linked_to_their_unit_or_person(database: Database) -> None:
    office = SampleOffice.make(database)
    unit = office.recipients.get(office.admin, office.recipient_id("NB-TC"))
    person = office.recipients.get(office.admin, office.recipient_id("NB-SON"))
    assert (unit.unit_id, unit.person_id) == (office.unit_id("VP-TC"), None)
    assert (person.unit_id, person.person_id) == (None, office.person_id("son.nh"))


def test_two_processes_that_seed_at_once_insert_everything_once(database: Database) -> None:
    made: list[Seeded] = []
    threads = [
        threading.Thread(target=lambda: made.append(seed(database, sample_seed())))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert sum(item.units for item in made) == len(sample_seed().units)
    assert rows(database, people) == len(sample_seed().people) + len(sample_seed().systems)


def test_a_weak_password_stops_before_anything_is_written(database: Database) -> None:
    with pytest.raises(InvalidInputError) as caught:
        seed(database, sample_seed(), lambda login: "demo")
    assert caught.value.code == "weak-password"
    assert rows(database, units) == 0


def test_an_auditor_of_a_part_is_refused_with_the_person_named(database: Database) -> None:
    office = sample_seed()
    part = Person(login="moi.ts", name="X", offices=(SeedOffice(unit="VP-TC", role="auditor"),))
    with pytest.raises(ConfigurationError) as caught:
        seed(database, office.model_copy(update={"people": (*office.people, part)}))
    assert "moi.ts" in caught.value.detail
    assert rows(database, units) == 0


def test_a_new_system_comes_into_a_unit_that_was_moved(database: Database) -> None:
    """A unit that moved since the seed was written keeps its place; its system still comes in."""
    office = SampleOffice.make(database)
    office.directory.change_unit(
        office.admin, office.unit_id("VP-TC"), parent_id=office.unit_id("VP-HC")
    )
    new = System(login="moi-ht", name=sample_seed().systems[0].name, unit="VP-TC")
    grown = sample_seed().model_copy(update={"systems": (*sample_seed().systems, new)})
    assert seed(database, grown) == Seeded(people=1)


def test_the_seeded_administrator_cannot_be_given_another_office(database: Database) -> None:
    office = SampleOffice.make(database)
    with pytest.raises(ConflictError):
        office.directory.grant_office(
            office.admin,
            office.person_id(ADMINISTRATOR),
            unit_id=office.unit_id("VP"),
            role="leader",
        )
