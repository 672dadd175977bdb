"""The only composition root: settings in, services out.

Rule: whatever is wrong with settings, files, keys or the database stops the start with one sentence
that says what would be right; nothing half-made ever serves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from docflow.audit.proofs import Proofs
from docflow.audit.sequencer import Sequencer
from docflow.bootstrap.parts import desk_of, engine_of, keeper_of, register_jobs, studio_of
from docflow.bootstrap.sources import (
    log_key,
    log_key_path,
    office_of,
    open_database,
    open_keyring,
    open_store,
    open_vault,
)
from docflow.custody import notices, recovery
from docflow.custody.model import Custody
from docflow.db import Database, UnitOfWork, idempotency, migrate
from docflow.documents.catalogue import Catalogue
from docflow.documents.desk import Desk
from docflow.jobs.engine import JobEngine
from docflow.kernel.actor import Actor
from docflow.kernel.clock import Clock
from docflow.people.accounts import Accounts
from docflow.people.authenticate import Authenticator
from docflow.people.certificates import RecipientCertificates
from docflow.people.certifying import certificate_policy, certify
from docflow.people.clearances import Clearances
from docflow.people.directory import Directory
from docflow.people.keys import ApiKeys
from docflow.people.lookups import strange_logins
from docflow.people.mandates import Mandates
from docflow.people.recipients import Recipients
from docflow.people.seeding import Seeded, seed
from docflow.people.signer_certificates import SignerCertificates
from docflow.release import archive, card_sessions, expiry
from docflow.release.certificate_uses import used_since
from docflow.release.recovery import Approved, Recoveries
from docflow.release.studio import Studio
from docflow.settings import Settings
from docflow.signing.appearance import undrawable
from docflow.storage import Staging, opening
from docflow.transparency.note import SigningKey
from docflow.upkeep.duties import Upkeep
from docflow.upkeep.guarded import GuardedStore

__all__ = [
    "Services",
    "build",
    "certify_recipients",
    "log_key",
    "log_key_path",
    "migrate_database",
    "office_of",
    "open_database",
    "open_keyring",
    "open_store",
    "open_vault",
    "seed_office",
]

_STAGING_SECONDS = 24 * 3600.0
_KEPT_EXECUTIONS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the doors call."""

    settings: Settings
    clock: Clock
    database: Database
    store: GuardedStore
    staging: Staging
    catalogue: Catalogue
    directory: Directory
    recipients: Recipients
    certificates: RecipientCertificates
    accounts: Accounts
    keys: ApiKeys
    authenticator: Authenticator
    signer_certificates: SignerCertificates
    mandates: Mandates
    engine: JobEngine
    desk: Desk
    studio: Studio
    recoveries: Recoveries
    sequencer: Sequencer
    proofs: Proofs
    log_key: SigningKey
    keeper: archive.Keeper
    upkeep: Upkeep

    @property
    def clearances(self) -> Clearances:
        """What people are cleared for."""
        longest = timedelta(days=self.settings.clearance_days)
        return Clearances(self.database, self.desk.catalogue.seed.classification, longest)

    @property
    def custody(self) -> Custody:
        """Acts that take two people."""
        return Custody(
            desk=self.desk,
            to_decide=timedelta(hours=self.settings.custody_hours),
            longest_access=timedelta(hours=self.settings.break_glass_hours),
        )

    def duties(self) -> list[tuple[str, float, Callable[[], object]]]:
        """Return the recurring duties of a worker: name, interval in seconds, what to call."""
        hours = timedelta(hours=self.settings.idempotency_hours)
        kept = timedelta(days=self.settings.notice_days)
        return [
            ("sequencer", self.settings.sequencer_seconds, self.sequencer.run),
            ("session-sweep", 300.0, self.accounts.sweep),
            ("signing-session-sweep", 15.0, partial(card_sessions.sweep, self.studio)),
            ("staging-sweep", 3600.0, partial(self.staging.sweep, _STAGING_SECONDS)),
            ("idempotency-sweep", 3600.0, partial(idempotency.sweep, self.database, hours)),
            ("notice-sweep", 3600.0, partial(notices.sweep, self.database, kept)),
            ("archive-timestamps", self.settings.archive_seconds, self.keeper.run),
            ("stamping-certificates", 6 * 3600.0, partial(expiry.look_at_authorities, self.desk)),
            ("job-prune", 3600.0, partial(self.engine.prune, _KEPT_EXECUTIONS)),
            *self.upkeep.duties(),
        ]

    def strangers(self) -> list[str]:
        """Return the logins of the signers file that nobody has: misspelt, or not made yet."""
        with self.database.read() as connection:
            return strange_logins(connection, self.desk.signers.logins())

    def close(self) -> None:
        """Close what holds connections."""
        self.database.dispose()


def migrate_database(settings: Settings, database: Database) -> None:
    """Bring schema and job engine to this version; safe to run twice and at once."""
    engine = engine_of(settings, database)
    with migrate.migration_lock(database):
        migrate.upgrade(database)
        engine.migrate()


def seed_office(
    settings: Settings,
    database: Database,
    give_password: Callable[[str], str | None] | None = None,
) -> Seeded:
    """Insert what the office file has and the database lacks."""
    return seed(database, office_of(settings), give_password)


def certify_recipients(settings: Settings, database: Database) -> int:
    """Record the certificates of recipients that have to be on record; return how many are new."""
    return certify(settings, database, office_of(settings))


def build(settings: Settings, clock: Clock | None = None) -> Services:
    """Make every service.

    Raises:
        ConfigurationError: if anything that the settings name is missing or wrong.
    """
    database = open_database(settings, clock)
    migrate.require_current(database)
    store = GuardedStore(opening.reached(open_store(settings)), database)
    engine = engine_of(settings, database)
    desk = desk_of(settings, database, store, engine)
    studio = studio_of(settings, desk)
    keeper = keeper_of(settings, desk, engine)
    register_jobs(engine, studio, keeper)
    signing_key = log_key(settings)
    return Services(
        settings=settings,
        clock=database.clock,
        database=database,
        store=store,
        staging=desk.staging,
        catalogue=desk.catalogue,
        directory=desk.directory,
        recipients=Recipients(database),
        certificates=RecipientCertificates(database, certificate_policy(settings)),
        accounts=Accounts(database, settings),
        keys=ApiKeys(database),
        authenticator=Authenticator(database, desk.catalogue.seed.classification),
        signer_certificates=SignerCertificates(
            database, desk.signers, desk.levels.longterm, used_since
        ),
        mandates=Mandates(database, partial(undrawable, studio.fonts)),
        engine=engine,
        desk=desk,
        studio=studio,
        recoveries=Recoveries(desk, _agreed),
        sequencer=Sequencer(database, store, signing_key, database.clock),
        proofs=Proofs(database, signing_key.verifier),
        log_key=signing_key,
        upkeep=Upkeep.of(settings, database, store.inner, desk).register(engine),
        keeper=keeper,
    )


def _agreed(uow: UnitOfWork, actor: Actor, request_id: str) -> Approved:
    """Answer for recoveries, between two rooms that do not know each other."""
    return Approved(*recovery.require_approved(uow, actor, request_id))
