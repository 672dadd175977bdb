"""A whole real instance without HTTP: the sample office, its people, its files, its jobs."""

import dataclasses
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher

from docflow import bootstrap
from docflow.audit.report import Finding
from docflow.audit.verify import verify_everything
from docflow.bootstrap import Services
from docflow.cli.samples import write_decision, write_scan
from docflow.db import Database, migrate
from docflow.documents import queries
from docflow.documents.content import ReceivedFile
from docflow.documents.create import NewDocument, create
from docflow.documents.fire import Outcome, fire
from docflow.documents.intake import Intake
from docflow.jobs.model import Job, JobRun
from docflow.kernel.actor import Actor
from docflow.kernel.clock import Clock
from docflow.kernel.errors import DevelopmentModeWarning
from docflow.people.passwords import Passwords
from docflow.people.seeding import seed
from docflow.release import archive, arrival, cards, deliver, sign
from docflow.settings import Settings
from docflow.storage import StagedFile

CLERK = "hanh.nt"
SPECIALIST = "khoa.ld"
OTHER_SPECIALIST = "thuy.pt"
HEAD = "dung.tq"
OTHER_HEAD = "lan.vt"
LEADER = "son.nh"
AUDITOR = "tam.ht"
ADMINISTRATOR = "duc.ph"
SYSTEM = "cong-dich-vu-cong"
RECIPIENT = "stc"

HANDLERS: Mapping[str, Callable[[Any, JobRun], None]] = {
    sign.KIND: sign.run,
    deliver.KIND: deliver.run,
    archive.KIND: archive.run,
    arrival.KIND: arrival.run,
    cards.KIND: cards.run,
    cards.EMBED: cards.run_embed,
}


def cheap() -> Passwords:
    """Argon2id with parameters that cost nothing, for tests only."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def password_of(login: str) -> str:
    return f"mật khẩu của {login}"


@contextmanager
def development() -> Iterator[None]:
    """Accept the warnings of development stand-ins, and only those."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DevelopmentModeWarning)
        yield


class Instance:
    """A built instance in a folder; jobs run when told to, step by step."""

    def __init__(self, folder: Path, database_url: str, clock: Clock, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings.load(
            data_dir=folder, database_url=database_url, job_backoff_seconds=0.05,
            job_poll_seconds=0.05, **settings,
        )  # fmt: skip
        with development():
            self.services: Services = bootstrap.build(self.settings, clock)
        self._actors: dict[str, Actor] = {}

    @classmethod
    def prepare(cls, folder: Path, database_url: str, clock: Clock) -> None:
        """Migrate, make the job engine's tables, load the office with accounts."""
        settings = Settings.load(data_dir=folder, database_url=database_url)
        database = bootstrap.open_database(settings, clock)
        bootstrap.migrate_database(settings, database)
        seed(database, bootstrap.office_of(settings), password_of, hasher=cheap())
        database.dispose()

    def close(self) -> None:
        self.services.close()

    @property
    def database(self) -> Database:
        return self.services.database

    @cached_property
    def tables(self) -> Mapping[str, sa.Table]:
        return migrate.load_metadata().tables

    # -- people ------------------------------------------------------------------------------------

    def actor(self, login: str) -> Actor:
        """The actor behind an account of the office, or an integrating system."""
        if login not in self._actors:
            self._actors[login] = self._find(login)
        return self._actors[login]

    def _find(self, login: str) -> Actor:
        if login == SYSTEM:
            administrator = self.actor(ADMINISTRATOR)
            with self.database.read() as connection:
                people = self.tables["people"]
                owner = connection.execute(
                    sa.select(people.c.id).where(people.c.login == login)
                ).scalar_one()
            scopes = ["documents:create", "documents:read"]
            made = self.services.keys.create(
                administrator, name="test", person_id=owner, scopes=scopes
            )
            return self.services.authenticator.authenticate(made.token)
        accounts = type(self.services.accounts)(self.database, self.settings, cheap())
        session = accounts.login(login, password_of(login))
        return self.services.authenticator.authenticate(session.token)

    # -- files and documents -----------------------------------------------------------------------

    @cached_property
    def decision(self) -> Path:
        path = self.folder / "decision.pdf"
        if not path.exists():
            write_decision(path, self.services.studio.fonts)
        return path

    def scan(self, symbol: str) -> Path:
        path = self.folder / f"scan-{symbol.replace('/', '-')}.pdf"
        write_scan(path, self.services.studio.fonts, symbol=symbol)
        return path

    def stage(self, content: Path | bytes) -> StagedFile:
        data = content if isinstance(content, bytes) else content.read_bytes()
        receiving = self.services.staging.begin()
        receiving.write(data)
        return receiving.finish()

    def received(self, content: Path | bytes, name: str = "văn bản.pdf") -> ReceivedFile:
        return ReceivedFile(name, self.stage(content))

    def clear(self, *logins: str, level: str = "confidential") -> None:
        """Let the actors behind these accounts see what is classified up to `level`."""
        cleared = self.services.catalogue.seed.classification.cleared(level)
        for login in logins:
            self._actors[login] = dataclasses.replace(self.actor(login), cleared=cleared)

    def sealed_draft(self, content: bytes | None = None, **values: Any) -> str:
        """Draft a confidential outgoing document as the specialist, received as the door does."""
        new = NewDocument(
            subject="Phương án bảo vệ", type_code="QĐ", direction="outgoing", recipients=["STC"],
            classification="confidential",
        )  # fmt: skip
        new = dataclasses.replace(new, **values)
        return self._post(SPECIALIST, new, content or self.decision, "phương án.pdf")

    def receive(
        self, intake: Intake, content: Path | bytes, name: str = "văn bản.pdf"
    ) -> ReceivedFile:
        """Receive a file as the door does: sealed on the way if the document is."""
        receiving = intake.begin()
        receiving.write(content if isinstance(content, bytes) else content.read_bytes())
        return ReceivedFile(name, receiving.finish())

    def _post(
        self, login: str, new: NewDocument, content: Path | bytes, name: str = "văn bản.pdf"
    ) -> str:
        intake = Intake(self.services.desk, classification=new.classification)
        main = self.receive(intake, content, name)
        return create(self.services.desk, self.actor(login), new, main=main, intake=intake)

    def incoming(self, number: int = 1, **values: Any) -> str:
        """Post an incoming document as the clerk; its bytes differ by number."""
        new = NewDocument(
            subject=f"Công văn số {number}", type_code="CV", direction="incoming",
            issuer="Sở Tài chính", issuer_symbol=f"{number}/STC-QLNS",
        )  # fmt: skip
        content = self.decision.read_bytes() + f"\n% {number}\n".encode()
        return self._post(CLERK, dataclasses.replace(new, **values), content)

    def draft(self, **values: Any) -> str:
        """Draft an outgoing document as the specialist."""
        new = NewDocument(
            subject="Ban hành Quy chế", type_code="QĐ", direction="outgoing", recipients=["STC"]
        )
        return self._post(SPECIALIST, dataclasses.replace(new, **values), self.decision)

    def row(self, document_id: str) -> dict[str, Any]:
        documents = self.tables["documents"]
        with self.database.read() as connection:
            return (
                connection.execute(sa.select(documents).where(documents.c.id == document_id))
                .one()
                ._asdict()
            )

    def rows(self, table: str, **equal: Any) -> list[dict[str, Any]]:
        found = self.tables[table]
        statement = sa.select(found).where(*(found.c[k] == v for k, v in equal.items()))
        with self.database.read() as connection:
            return [row._asdict() for row in connection.execute(statement)]

    def actions(self, subject_id: str) -> list[str]:
        """Return what history says was done to a document or another subject, in order."""
        entries = self.rows("history_entries", subject_id=subject_id)
        return [entry["action"] for entry in sorted(entries, key=lambda one: one["subject_seq"])]

    def findings(self) -> tuple[Finding, ...]:
        """Sequence what is pending and verify everything, contents too; return what is wrong."""
        services = self.services
        services.sequencer.run()
        report = verify_everything(
            services.database, services.store, services.log_key.verifier, contents=True
        )
        return report.findings

    def fire(self, login: str, document_id: str, trigger: str, **asked: Any) -> Outcome:
        version = self.row(document_id)["version"]
        return fire(
            self.services.desk, self.actor(login), document_id, trigger, asked, if_version=version
        )

    def show(self, login: str, document_id: str) -> queries.Shown:
        return queries.show(self.services.desk, self.actor(login), document_id)

    def to_approved(self, document_id: str) -> str:
        self.fire(SPECIALIST, document_id, "submit")
        self.fire(HEAD, document_id, "approve")
        return document_id

    def to_signed(self, document_id: str) -> str:
        self.to_approved(document_id)
        self.run(self.fire(LEADER, document_id, "sign"))
        return document_id

    def to_released(self, document_id: str) -> str:
        self.to_signed(document_id)
        self.run(self.fire(CLERK, document_id, "release"))
        return document_id

    # -- jobs, run here and now, with steps remembered as the engine remembers them ----------------

    def job(self, job_id: str) -> Job:
        return self.services.engine.get(job_id)

    def run(self, outcome: Outcome, done: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the job of an outcome to its end; `done` are results of steps that succeeded."""
        assert outcome.job_id is not None
        return self.run_job(outcome.job_id, done)

    def run_job(self, job_id: str, done: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a job to its end, as `run` does."""
        job = self.job(job_id)
        remembered = {} if done is None else done

        def step(name: str, function: Callable[[], Any]) -> Any:
            if name not in remembered:
                remembered[name] = function()
            return remembered[name]

        HANDLERS[job.kind](self.services.studio, JobRun(job, step))
        return remembered


def copy_instance(template: Path, folder: Path) -> None:
    """Copy a prepared SQLite instance."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
