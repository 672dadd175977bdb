"""The parts that `build` puts together, each from its settings; and the handlers of jobs."""

import warnings
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from docflow.bootstrap.sources import office_of, open_vault
from docflow.conversion import find_converter, find_sandbox
from docflow.db import Database
from docflow.documents import converting, resealing
from docflow.documents.catalogue import Catalogue
from docflow.documents.desk import Desk, Inputs, Limits
from docflow.documents.shelf import Shelf
from docflow.documents.signer_choice import SigningPolicy
from docflow.jobs.engine import JobEngine
from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.people.authenticate import Authenticator
from docflow.people.certifying import openers_of
from docflow.people.directory import Directory
from docflow.people.lookups import logins_and_names
from docflow.release import (
    archive,
    arrival,
    batches,
    capacities,
    cards,
    deliver,
    failures,
    inbox,
    sign,
)
from docflow.release.studio import Studio
from docflow.settings import Settings
from docflow.signing.choice import LevelPolicy
from docflow.signing.dated import NewSignatures
from docflow.signing.devpki import is_throwaway
from docflow.signing.font import ensure_fonts
from docflow.signing.longterm import LongTerm
from docflow.signing.outside.asking import Asker
from docflow.signing.outside.services import SigningServices, services_from_file
from docflow.signing.signers import Signers, development_signers
from docflow.signing.signersfile import signers_from_file
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.trusted_lists import ListRules
from docflow.signing.verifying.verifier import Verifier
from docflow.storage import ObjectStore, Staging


def desk_of(settings: Settings, database: Database, store: ObjectStore, engine: JobEngine) -> Desk:
    """Return the desk of the documents room."""
    staging = Staging(settings.data_dir / "staging", settings.max_file_bytes)
    catalogue = Catalogue(office_of(settings))
    shelf = Shelf(database)
    shelf.stock(settings.resolved_workflows_dir, catalogue)
    signers = signers_of(settings, database, catalogue)
    return Desk(
        database=database,
        store=store,
        staging=staging,
        catalogue=catalogue,
        shelf=shelf,
        signers=signers,
        levels=levels_of(settings, signers),
        vault=open_vault(settings, database, store, staging, catalogue),
        directory=Directory(database),
        enqueue=engine.enqueue,
        openers=openers_of(settings, database.clock.now()),
        limits=Limits(annexes=settings.max_annexes, pages=settings.max_pages),
        inputs=inputs_of(settings),
        policy=policy_of(settings),
        require_seen=capacities.require_seen,
        elsewhere=(inbox.reseal_notes,),
    )


def inputs_of(settings: Settings) -> Inputs:
    """Return what is made of files that cannot be signed as they come.

    Without a sandbox, production converts no office file unless it is told to; development does, and
    says so.
    """
    sandbox = find_sandbox()
    converter = find_converter(
        settings.libreoffice,
        settings.data_dir / "conversion",
        timeout_s=settings.conversion_seconds,
        memory_bytes=settings.conversion_mib << 20,
        most_bytes=settings.max_file_bytes,
        sandbox=sandbox,
    )
    clean = settings.input_policy == "clean"
    if converter is not None and sandbox is None and not settings.conversion_unconfined:
        if settings.production:
            return Inputs(None, clean, lacks="sandbox")
        warnings.warn(
            "LibreOffice sees this machine's files while it converts strangers' ones, as bubblewrap is not "
            "here or may not confine it; not for production",
            DevelopmentModeWarning,
            stacklevel=2,
        )
    return Inputs(converter, clean)


def studio_of(settings: Settings, desk: Desk) -> Studio:
    """Return what signs, releases and verifies."""
    fonts = ensure_fonts(settings.data_dir / "cache")
    verifier = verifier_of(settings, desk.signers)
    return Studio(
        desk,
        desk.signers,
        fonts,
        public_address_of(settings),
        verifier,
        session_minutes=settings.signing_session_minutes,
        most_signatures=settings.certificate_signatures or None,
    )


def engine_of(settings: Settings, database: Database) -> JobEngine:
    """Return the job engine, without handlers."""
    return JobEngine(
        database,
        database.clock,
        attempts=settings.job_attempts,
        backoff_seconds=settings.job_backoff_seconds,
        patience=timedelta(hours=settings.outside_patience_hours),
        poll_seconds=settings.job_poll_seconds,
        concurrency=settings.worker_concurrency,
        slots_dir=settings.data_dir / "workers",
    )


def keeper_of(settings: Settings, desk: Desk, engine: JobEngine) -> archive.Keeper:
    """Return what finds archive time stamps that are due, and renewals to be tried again."""
    return archive.Keeper(
        desk,
        engine.enqueue,
        engine.retry,
        desk.signers.algorithms.policy,
        lead=timedelta(days=settings.archive_lead_days),
        pause=timedelta(hours=settings.archive_retry_hours),
    )


def levels_of(settings: Settings, signers: Signers) -> LevelPolicy:
    """Return which levels of signatures are made here."""
    policy = LevelPolicy(
        LongTerm(services_of(settings), signers.own_roots, signers.algorithms.policy),
        settings.signature_level,
        timedelta(hours=settings.signature_fallback_hours),
    )
    if settings.signature_level not in policy.longterm.levels:
        raise ConfigurationError(
            f"DOCFLOW_SIGNATURE_LEVEL is {settings.signature_level}, and no time-stamp authority is "
            "configured; name one in DOCFLOW_SIGNING_SERVICES_FILE, or write B-B."
        )
    return policy


def signers_of(settings: Settings, database: Database, catalogue: Catalogue) -> Signers:
    """Return who signs: from the signers file, or throw-away identities in development."""
    now = database.clock.now()
    rules = algorithms_of(settings)
    if settings.signers_file is not None:
        signers = signers_from_file(settings.signers_file, now=now, algorithms=rules)
        if settings.production:
            _refuse_throwaway(settings.signers_file, signers)
        return signers
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
    return development_signers(
        settings.data_dir / "pki", organisation, signing, now=now, algorithms=rules
    )


def _refuse_throwaway(file: Path, signers: Signers) -> None:
    """Refuse certificates that say of themselves that they are for development, wherever they lie."""
    named = [one.certificate for one in signers.identities()]
    for certificate in (*named, *signers.own_roots.certificates, *signers.roots.certificates):
        if is_throwaway(certificate):
            raise ConfigurationError(
                f"DOCFLOW_SIGNERS_FILE ({file}) leads to the certificate of "
                f"{certificate.subject.rfc4514_string()!r}; production does not sign with a throw-away "
                "PKI, nor trust one.",
                satisfied_by="Name PKCS#12 files and roots of your certificate authority there.",
            )


def public_address_of(settings: Settings) -> str:
    """Return where recipients reach the service; it is printed on what is released, for good.

    Raises:
        ConfigurationError: in production, if it is not an https address that others can reach.
    """
    parts = urlsplit(settings.public_url)
    host = parts.hostname or ""
    if settings.production and (parts.scheme != "https" or _is_of_this_machine(host)):
        raise ConfigurationError(
            f"DOCFLOW_PUBLIC_URL is {settings.public_url}; it is printed in QR codes for good.",
            satisfied_by="In production, name the https address at which recipients reach the service.",
        )
    return settings.public_url


def _is_of_this_machine(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host in {"", "localhost"} or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def algorithms_of(settings: Settings) -> NewSignatures:
    """Return the dated policy on algorithms as new signatures have to meet it."""
    named = settings.algorithms_file
    policy = AlgorithmPolicy.from_file(named) if named else shipped_policy()
    return NewSignatures(policy, timedelta(days=settings.algorithm_margin_days))


def policy_of(settings: Settings) -> SigningPolicy:
    """Return what a personal signature needs; stricter in production unless told otherwise."""
    required = settings.signer_enrolment == "required"
    if settings.signer_enrolment == "auto":
        required = settings.production
    minutes = settings.step_up_minutes
    return SigningPolicy(required, timedelta(minutes=minutes) if minutes else None)


def verifier_of(settings: Settings, signers: Signers) -> Verifier:
    """Return what judges signatures of strangers."""
    return Verifier.make(
        signers.own_roots,
        signers.roots,
        [settings.trust_dir] if settings.trust_dir is not None else [],
        lists=ListRules.of(
            [settings.trust_list_signers] if settings.trust_list_signers is not None else [],
            settings.trust_lists_unsigned,
        ),
        algorithms_file=settings.algorithms_file,
        changes=settings.verification_changes,
        revocation=settings.verification_revocation,
        timeout_s=settings.verification_seconds,
        asker=asker_of(settings),
    )


def asker_of(settings: Settings) -> Asker | None:
    """Return what asks about the revocation of others' certificates; None if nobody may be asked."""
    if not settings.verification_hosts:
        return None
    services = services_of(settings)
    hosts = frozenset(settings.verification_hosts)
    return Asker(hosts, services.revocation_limits, services.private_hosts)


def services_of(settings: Settings) -> SigningServices:
    """Return what the signing services file says; nothing without one."""
    path = settings.signing_services_file
    return services_from_file(path) if path is not None else SigningServices()


def register_jobs(engine: JobEngine, studio: Studio, keeper: archive.Keeper) -> None:
    """Name the handler of every kind of job."""
    desk = studio.desk
    handlers = {sign.KIND: sign.run, deliver.KIND: deliver.run}
    handlers |= {cards.KIND: cards.run, cards.EMBED: cards.run_embed}
    for kind, run in handlers.items():
        engine.register(
            kind,
            partial(run, studio),
            partial(failures.on_failed, desk),
            partial(failures.on_waiting, desk),
        )
    signing = Authenticator(desk.database, desk.catalogue.seed.classification)
    engine.register(
        batches.KIND, partial(batches.run, studio, signing), partial(batches.on_failed, studio)
    )
    engine.register(arrival.KIND, partial(arrival.run, studio), partial(arrival.on_failed, studio))
    engine.register(archive.KIND, partial(archive.run, studio), partial(archive.on_failed, keeper))
    engine.register(
        resealing.KIND, partial(resealing.run, desk), partial(resealing.on_failed, desk)
    )
    engine.register(
        converting.KIND,
        partial(converting.run, desk),
        partial(converting.on_failed, desk),
        partial(converting.on_waiting, desk),
    )
