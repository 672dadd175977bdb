"""The sample office in a database, with real accounts and cheap password hashes."""

from dataclasses import dataclass
from functools import cache, cached_property

import sqlalchemy as sa
from argon2 import PasswordHasher

from docflow.db import METADATA, Database
from docflow.db.tables import history_entries
from docflow.kernel.actor import Actor
from docflow.people.accounts import Accounts
from docflow.people.authenticate import Authenticator
from docflow.people.directory import Directory
from docflow.people.keys import ApiKeys
from docflow.people.passwords import Passwords
from docflow.people.recipients import Recipients
from docflow.people.seed import load_seed
from docflow.people.seed_models import OfficeSeed
from docflow.people.seeding import seed
from docflow.people.tables import accounts, people, recipients, units
from docflow.settings import Settings

ADMINISTRATOR = "duc.ph"
CLERK = "hanh.nt"
SPECIALIST = "khoa.ld"
HEAD = "dung.tq"
LEADER = "son.nh"
AUDITOR = "tam.ht"
SYSTEM = "phan-mem-ke-toan"
OUTSIDER = "x-tanhoa"  # the login of an external recipient's account
ATTEMPTS = 4


@cache
def sample_seed() -> OfficeSeed:
    """Return the sample office; frozen, so one for all tests."""
    return load_seed()


def cheap() -> Passwords:
    """Return Argon2id with parameters that cost nothing, for tests only."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def password_of(login: str) -> str:
    return f"mật khẩu của {login}"


@dataclass(frozen=True)
class SampleOffice:
    """The services of `people` over the seeded sample office."""

    database: Database
    settings: Settings

    @classmethod
    def make(cls, database: Database) -> "SampleOffice":
        seed(database, sample_seed(), password_of, hasher=cheap())
        settings = Settings(login_attempts=ATTEMPTS, lockout_minutes=15, session_hours=9)
        return cls(database, settings)

    @cached_property
    def directory(self) -> Directory:
        return Directory(self.database)

    @cached_property
    def recipients(self) -> Recipients:
        return Recipients(self.database)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self.database, self.settings, cheap())

    @cached_property
    def keys(self) -> ApiKeys:
        return ApiKeys(self.database)

    @cached_property
    def authenticator(self) -> Authenticator:
        return Authenticator(self.database, sample_seed().classification)

    @cached_property
    def admin(self) -> Actor:
        return self.actor(ADMINISTRATOR)

    def token(self, login: str) -> str:
        return self.accounts.login(login, password_of(login)).token

    def actor(self, login: str) -> Actor:
        return self.authenticator.authenticate(self.token(login))

    def unit_id(self, code: str) -> str:
        return self._id(units.c.id, units.c.code == code)

    def person_id(self, login: str) -> str:
        return self._id(people.c.id, people.c.login == login)

    def account_id(self, login: str) -> str:
        return self._id(accounts.c.id, accounts.c.login == login)

    def recipient_id(self, code: str) -> str:
        return self._id(recipients.c.id, recipients.c.code == code)

    def _id(self, column: sa.Column[str], condition: sa.ColumnElement[bool]) -> str:
        with self.database.read() as connection:
            return connection.execute(sa.select(column).where(condition)).scalar_one()

    def actions(self, subject_id: str) -> list[str]:
        """Return what history tells of a subject, in order."""
        statement = (
            sa.select(history_entries.c.action)
            .where(history_entries.c.subject_id == subject_id)
            .order_by(history_entries.c.subject_seq)
        )
        with self.database.read() as connection:
            return list(connection.execute(statement).scalars())

    def everything(self) -> str:
        """Return every row of every table as text, to look for what must not be there."""
        with self.database.read() as connection:
            return "\n".join(
                repr(tuple(row))
                for table in METADATA.sorted_tables
                for row in connection.execute(sa.select(table))
            )
