"""What the settings name, opened: database, store, keys, log, office."""

from functools import partial
from pathlib import Path

from docflow.audit.log_key import load_or_create_log_key
from docflow.db import Database
from docflow.documents.catalogue import Catalogue
from docflow.documents.keyroom import depended
from docflow.documents.vault import Vault
from docflow.kernel.clock import Clock, SystemClock
from docflow.kernel.errors import ConfigurationError
from docflow.people.seed import load_seed
from docflow.people.seed_models import OfficeSeed
from docflow.settings import Settings
from docflow.storage import ObjectStore, Staging, opening
from docflow.storage.sealing import Keyring
from docflow.transparency.note import SigningKey


def open_database(settings: Settings, clock: Clock | None = None) -> Database:
    """Return the database that the settings name; its schema is not looked at.

    Raises:
        ConfigurationError: if they name none that docflow runs on.
        UnavailableError: if it cannot be reached, saying where it was sought and why.
    """
    database = Database(
        settings.resolved_database_url,
        clock or SystemClock(),
        pool_size=max(4, settings.threads + settings.worker_concurrency + 2),
    )
    database.reach()
    return database


def open_store(settings: Settings) -> ObjectStore:
    """Return the object store that the settings name, unguarded; see `storage.opening`."""
    return opening.open_store(settings)


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


def office_of(settings: Settings) -> OfficeSeed:
    """Return the office that the settings name: the sample office unless told otherwise."""
    if settings.office_file is not None:
        return load_seed(settings.office_file)
    if settings.production:
        raise ConfigurationError(
            "DOCFLOW_OFFICE_FILE is not set; production does not run on the sample office."
        )
    return load_seed()
