"""Opens the object store that the settings name: a bucket of an S3-compatible service, or a folder."""

from contextlib import suppress

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.settings import Settings
from docflow.storage.local import LocalStore
from docflow.storage.store import ObjectStore


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
        lock=settings.s3_object_lock,
        timeout_seconds=settings.s3_timeout_seconds,
        attempts=settings.s3_attempts,
        connections=settings.threads + settings.worker_concurrency + 4,
    )
    if settings.production and options.exposed:
        raise ConfigurationError(
            "DOCFLOW_S3_ENDPOINT is plain http to another machine; production writes https://…"
        )
    return S3Store(options)


def reached(store: ObjectStore) -> ObjectStore:
    """Refuse a bucket that is not there or not ours; one that is away may come back.

    Raises:
        ConfigurationError: naming what is wrong: keys, bucket, region, clock, certificate.
    """
    if isinstance(store, LocalStore):
        return store
    from docflow.storage.s3 import S3Store

    if isinstance(store, S3Store):
        with suppress(UnavailableError):
            store.require()
    return store
