"""The only composition root: settings in, services out.

Rule: whatever is wrong with settings, files, keys or the database stops the start with one sentence
that says what would be right; nothing half-made ever serves.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from docflow.audit.log_key import load_or_create_log_key
from docflow.audit.proofs import Proofs
from docflow.audit.sequencer import Sequencer
from docflow.db import Database, idempotency, migrate
from docflow.documents import resealing
from docflow.documents.catalogue import Catalogue
from docflow.documents.desk import Desk, Limits
from docflow.documents.keyroom import depended
from docflow.documents.shelf import Shelf
from docflow.documents.vault import Vault
from docflow.jobs.engine import JobEngine
from docflow.kernel.clock import Clock, SystemClock
from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning, UnavailableError
from docflow.people.accounts import Accounts
from docflow.people.authenticate import Authenticator
from docflow.people.directory import Directory
from docflow.people.keys import ApiKeys
from docflow.people.lookups import logins_and_names
from docflow.people.recipients import Recipients
from docflow.people.seed import load_seed
from docflow.people.seed_models import OfficeSeed
from docflow.people.seeding import Seeded, seed
from docflow.release import deliver, failures, sign
from docflow.release.studio import Studio
from docflow.settings import Settings
from docflow.signing.font import ensure_fonts
from docflow.signing.signers import Signers, development_signers, signers_from_file
from docflow.storage import LocalStore, ObjectStore, Staging
from docflow.storage.sealing import Keyring
from docflow.transparency.note import SigningKey

_STAGING_SECONDS = 24 * 3600.0
_KEPT_EXECUTIONS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the doors call."""

    settings: Settings
    clock: Clock
    database: Database
    store: ObjectStore
    staging: Staging
    catalogue: Catalogue
    directory: Directory
    recipients: Recipients
    accounts: Accounts
    keys: ApiKeys
    authenticator: Authenticator
    engine: JobEngine
    desk: Desk
    studio: Studio
    sequencer: Sequencer
    proofs: Proofs
    log_key: SigningKey

    def duties(self) -> list[tuple[str, float, Callable[[], object]]]:
        """Return the recurring duties of a worker: name, interval in seconds, what to call."""
        hours = timedelta(hours=self.settings.idempotency_hours)
        return [
            ("sequencer", self.settings.sequencer_seconds, self.sequencer.run),
            ("session-sweep", 300.0, self.accounts.sweep),
            ("staging-sweep", 3600.0, partial(self.staging.sweep, _STAGING_SECONDS)),
            ("idempotency-sweep", 3600.0, partial(idempotency.sweep, self.database, hours)),
            ("job-prune", 3600.0, partial(self.engine.prune, _KEPT_EXECUTIONS)),
        ]

    def close(self) -> None:
        """Close what holds connections."""
        self.database.dispose()


def open_database(settings: Settings, clock: Clock | None = None) -> Database:
    """Return the database that the settings name, unchecked."""
    return Database(
        settings.resolved_database_url,
        clock or SystemClock(),
        pool_size=max(4, settings.threads + settings.worker_concurrency + 2),
    )


def open_store(settings: Settings) -> ObjectStore:
    """Return the object store that the settings name: a bucket, or a folder.

    Raises:
        ConfigurationError: if the bucket's settings are wrong, or bytes would cross a network in the
            clear in production.
    """
    if not settings.s3_endpoint:
        return LocalStore(settings.data_dir / "store")
    # only here: an instance with a folder needs neither the client nor its memory
    from docflow.storage.s3 import S3Store
    from docflow.storage.s3_credentials import credentials_from
    from docflow.storage.s3_options import S3Options

    options = S3Options(
        endpoint=settings.s3_endpoint,
        bucket=settings.s3_bucket,
        credentials=credentials_from(
            settings.s3_access_key,
            settings.s3_secret_key_file,
            settings.s3_credentials_file,
            settings.s3_profile,
        ),
        region=settings.s3_region,
        prefix=settings.s3_prefix,
        virtual_host=settings.s3_virtual_host,
        ca_file=settings.s3_ca_file,
        encryption=settings.s3_encryption,
        kms_key=settings.s3_kms_key,
        timeout_seconds=settings.s3_timeout_seconds,
        attempts=settings.s3_attempts,
        connections=settings.threads + settings.worker_concurrency + 4,
    )
    if settings.production and options.exposed:
        raise ConfigurationError(
            "DOCFLOW_S3_ENDPOINT is plain http to another machine; production writes https://…"
        )
    return S3Store(options)


def open_vault(
    settings: Settings, database: Database, store: ObjectStore, staging: Staging, office: Catalogue
) -> Vault:
    """Return the vault of an instance; it also seals what history says of sealed documents.

    Raises:
        ConfigurationError: if documents that are to be sealed may be posted and there is no key
            provider, or it refuses us.
        UnavailableError: if the key provider does not answer.
    """
    keyring = open_keyring(settings, office)
    if keyring is not None:
        keyring.watch(partial(depended, database))
    vault = Vault(database, store, staging, office, keyring)
    database.seal_details("document", vault.seal_details)
    return vault


def open_keyring(settings: Settings, office: Catalogue) -> Keyring | None:
    """Return the key providers that the settings name, None if there is none and none is needed.

    Raises:
        ConfigurationError: if one is needed and not named, or not there, or refused here.
        UnavailableError: if one does not answer.
    """
    provider = settings.key_provider or ("" if settings.production else "file")
    if not provider:
        sealing = office.seed.classification.sealing()
        if sealing:
            raise ConfigurationError(
                f"DOCFLOW_KEY_PROVIDER is not set, and documents classified {sealing[0]!r} may be "
                "posted; production does not seal them with keys beside them.",
                satisfied_by="Set it to `pkcs11` or `mounted`, or lower the office's ceiling.",
            )
        return None
    # only here: an instance without confidential items needs neither the code nor a token
    from docflow.storage.sealing.providers import options

    return options.open_keyring(
        options.KeyOptions(
            provider=provider,
            earlier=settings.key_providers_before,
            local_folder=settings.key_folder or settings.data_dir / "keys",
            mounted_folder=settings.key_mounted_folder,
            module=settings.key_pkcs11_module,
            token=settings.key_pkcs11_token,
            pin_file=settings.key_pkcs11_pin_file,
            production=settings.production,
            local_allowed=settings.key_files_allowed,
        )
    )


def log_key(settings: Settings) -> SigningKey:
    """Return the history log's signing key; made on first use in development.

    Raises:
        ConfigurationError: if it is missing in production, or is not this log's key.
    """
    return load_or_create_log_key(
        log_key_path(settings), settings.log_origin, production=settings.production
    )


def log_key_path(settings: Settings) -> Path:
    """Return where the history log's signing key is, or will be."""
    return settings.log_key_file or settings.data_dir / "log.key"


def migrate_database(settings: Settings, database: Database) -> None:
    """Bring schema and job engine to this version; safe to run twice and at once."""
    engine = _engine(settings, database)
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


def office_of(settings: Settings) -> OfficeSeed:
    """Return the office that the settings name: the sample office unless told otherwise."""
    if settings.office_file is not None:
        return load_seed(settings.office_file)
    if settings.production:
        raise ConfigurationError(
            "DOCFLOW_OFFICE_FILE is not set; production does not run on the sample office."
        )
    return load_seed()


def build(settings: Settings, clock: Clock | None = None) -> Services:
    """Make every service.

    Raises:
        ConfigurationError: if anything that the settings name is missing or wrong.
    """
    clock = clock or SystemClock()
    database = open_database(settings, clock)
    migrate.require_current(database)
    store = open_store(settings)
    _reach(store)
    engine = _engine(settings, database)
    desk = _desk(settings, database, store, engine)
    studio = Studio(
        desk, desk.signers, ensure_fonts(settings.data_dir / "cache"), settings.public_url
    )
    _register_jobs(engine, studio)
    signing_key = log_key(settings)
    return Services(
        settings=settings,
        clock=clock,
        database=database,
        store=store,
        staging=desk.staging,
        catalogue=desk.catalogue,
        directory=desk.directory,
        recipients=Recipients(database),
        accounts=Accounts(database, settings),
        keys=ApiKeys(database),
        authenticator=Authenticator(database),
        engine=engine,
        desk=desk,
        studio=studio,
        sequencer=Sequencer(database, store, signing_key, clock),
        proofs=Proofs(database, signing_key.verifier),
        log_key=signing_key,
    )


def _desk(settings: Settings, database: Database, store: ObjectStore, engine: JobEngine) -> Desk:
    staging = Staging(settings.data_dir / "staging", settings.max_file_bytes)
    catalogue = Catalogue(office_of(settings))
    shelf = Shelf(database)
    shelf.stock(settings.resolved_workflows_dir, catalogue)
    return Desk(
        database=database,
        store=store,
        staging=staging,
        catalogue=catalogue,
        shelf=shelf,
        signers=_signers(settings, database, catalogue),
        vault=open_vault(settings, database, store, staging, catalogue),
        directory=Directory(database),
        enqueue=engine.enqueue,
        limits=Limits(annexes=settings.max_annexes, pages=settings.max_pages),
    )


def _reach(store: ObjectStore) -> None:
    """Refuse to start on a bucket that is not there or not ours; one that is away may come back."""
    if isinstance(store, LocalStore):
        return
    from docflow.storage.s3 import S3Store

    if isinstance(store, S3Store):
        with suppress(UnavailableError):
            store.require()


def _register_jobs(engine: JobEngine, studio: Studio) -> None:
    desk = studio.desk
    for kind, run in ((sign.KIND, sign.run), (deliver.KIND, deliver.run)):
        engine.register(kind, partial(run, studio), partial(failures.on_failed, desk))
    engine.register(
        resealing.KIND, partial(resealing.run, desk), partial(resealing.on_failed, desk)
    )


def _engine(settings: Settings, database: Database) -> JobEngine:
    return JobEngine(
        database,
        database.clock,
        attempts=settings.job_attempts,
        backoff_seconds=settings.job_backoff_seconds,
        poll_seconds=settings.job_poll_seconds,
        concurrency=settings.worker_concurrency,
        slots_dir=settings.data_dir / "workers",
    )


def _signers(settings: Settings, database: Database, catalogue: Catalogue) -> Signers:
    now = database.clock.now()
    if settings.signers_file is not None:
        return signers_from_file(settings.signers_file, now=now)
    if settings.production:
        raise ConfigurationError(
            "DOCFLOW_SIGNERS_FILE is not set; production does not sign with a throw-away PKI. "
            "Name a YAML file with the PKCS#12 files of the seal and of each signer."
        )
    warnings.warn(
        "signing with a throw-away PKI below the data folder; not for production",
        DevelopmentModeWarning,
        stacklevel=2,
    )
    organisation = catalogue.seed.organisation.name.vi
    signing = {}
    with database.read() as connection:
        signing = logins_and_names(connection, roles=("leader",))
    return development_signers(settings.data_dir / "pki", organisation, signing, now=now)
