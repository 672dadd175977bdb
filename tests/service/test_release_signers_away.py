"""A signer's token or remote service that is away: the job waits and says so, like for an authority."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pkcs11
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError
from docflow.release import failures
from tests.csc_server import Credential, CscServer, CscService
from tests.jobs_support import settled, started, until
from tests.levels_support import write_signers
from tests.office_support import ADMINISTRATOR, LEADER, SPECIALIST, Instance, copy_instance
from tests.pki_support import LivePki
from tests.token_support import PIN, empty_tokens, make_token, module, put_key
from tests.unit.signing.test_signing_csc import tls

TOKEN, ACCESS = "docflow-signers", "an access token of the office"
Offices = Callable[[dict[str, str]], Instance]


@pytest.fixture
def office_with(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> Iterator[Offices]:
    """Make an instance whose leader signs as an entry of the signers file says."""
    made: list[Instance] = []

    def make(entry: dict[str, str]) -> Instance:
        pki.now = clock.now
        copy_instance(prepared, tmp_path / "var")
        signers = write_signers(tmp_path, pki)
        told = yaml.safe_load(signers.read_text())
        told["people"][LEADER] = entry
        signers.write_text(yaml.safe_dump(told))
        database = f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}"
        made.append(Instance(tmp_path / "var", database, clock, signers_file=signers))
        return made[-1]

    (tmp_path / "pin").write_text(PIN + "\n")
    yield make
    for one in made:
        one.close()


def chain_of(pki: LivePki) -> list[x509.Certificate]:
    return [
        x509.load_pem_x509_certificate(pki.pem(one).read_bytes()) for one in ("person", "authority")
    ]


@pytest.fixture
def in_a_token(tmp_path: Path, pki: LivePki, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A token with the person's key and certificates; gives the folder that it is in."""
    key = load_pem_private_key((pki.folder / "person.pem").read_bytes(), None)
    with empty_tokens(tmp_path / "softhsm", monkeypatch):
        make_token(TOKEN)
        put_key(tmp_path, TOKEN, "leader", key, *chain_of(pki))  # type: ignore[arg-type]
        yield tmp_path / "softhsm" / "tokens"


@pytest.fixture
def service(tmp_path: Path, pki: LivePki) -> Iterator[CscServer]:
    """A remote signing service with the person's key."""
    signer = load_pem_private_key((pki.folder / "person.pem").read_bytes(), None)
    key, certificate = tls()
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "token").write_text(ACCESS + "\n")
    credentials = {"leader": Credential(signer, chain_of(pki), PIN)}  # type: ignore[arg-type]
    with CscServer(CscService(credentials, ACCESS), key, certificate, tmp_path) as server:
        yield server


def of_token() -> dict[str, str]:
    return {"pkcs11": str(module()), "token": TOKEN, "key": "leader", "pin_file": "pin"}


def of_service(service: CscServer) -> dict[str, str]:
    return {
        "csc": service.url, "credential": "leader", "token_file": "token", "pin_file": "pin",
        "ca_file": "ca.pem",
    }  # fmt: skip


@contextmanager
def moved_away(tokens: Path) -> Iterator[None]:
    away = tokens.with_name("away")
    tokens.rename(away)
    try:
        yield
    finally:
        away.rename(tokens)


@contextmanager
def down(service: CscServer) -> Iterator[None]:
    service.service.misbehave = "down"
    try:
        yield
    finally:
        service.service.misbehave = ""


def waits_and_is_then_signed(
    office: Instance, away: AbstractContextManager[None], words: str
) -> None:
    document_id = office.to_approved(office.draft())
    engine = office.services.engine
    with started(engine):
        with away:
            job_id = office.fire(LEADER, document_id, "sign").job_id or ""
            until(lambda: office.job(job_id).attempts >= 1, "the first try")
            row = office.row(document_id)
            assert (row["stage"], row["state"]) == ("waiting", "approved")  # from the first try on
            # more tries than any other failure gets
            until(lambda: office.job(job_id).attempts >= 7, "seven tries")
            row = office.row(document_id)
            assert (row["stage"], row["state"]) == ("waiting", "approved")
            assert words in row["pending"]["error"]
            assert not row["pending"]["failed"]
            assert PIN not in row["pending"]["error"]
        done = settled(engine, job_id, "done")
    assert done.error is None
    row = office.row(document_id)
    assert (row["stage"], row["state"], row["pending"]) == (None, "signed", None)


def test_while_a_token_is_away_the_document_waits_says_why_and_is_then_signed(
    office_with: Offices, in_a_token: Path
) -> None:
    office = office_with(of_token())
    waits_and_is_then_signed(office, moved_away(in_a_token), f"The token '{TOKEN}' does not answer")


def test_while_a_remote_service_is_away_the_document_waits_says_why_and_is_then_signed(
    office_with: Offices, service: CscServer
) -> None:
    office = office_with(of_service(service))
    waits_and_is_then_signed(office, down(service), f"{service.url} does not answer (status 503)")


@pytest.mark.parametrize("kind", ["token", "service"])
def test_a_pin_that_is_refused_fails_the_job_at_its_first_try(
    office_with: Offices, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    held = request.getfixturevalue("in_a_token" if kind == "token" else "service")
    office = office_with(of_token() if kind == "token" else of_service(held))
    (tmp_path / "pin").write_text("999999\n")
    document_id = office.to_approved(office.draft())
    if kind == "token":
        pkcs11.lib(str(module())).reinitialize()  # the session is lost, so the next call logs in
    with started(office.services.engine):
        job_id = office.fire(LEADER, document_id, "sign").job_id or ""
        job = settled(office.services.engine, job_id, "failed")
    assert job.attempts == 1
    row = office.row(document_id)
    assert (row["stage"], row["pending"]["failed"]) == ("failed", True)
    assert "999999" not in row["pending"]["error"]


def test_an_administrator_has_a_waiting_document_tried_at_once_and_it_says_so_once(
    office_with: Offices, service: CscServer
) -> None:
    office = office_with(of_service(service))
    desk, engine = office.services.desk, office.services.engine
    engine._backoff_seconds = 600.0  # so that nothing but the person has it tried again
    document_id = office.to_approved(office.draft())
    with started(engine):
        with down(service):
            job_id = office.fire(LEADER, document_id, "sign").job_id or ""
            settled(engine, job_id, "retrying")
            assert office.row(document_id)["stage"] == "waiting"
        with pytest.raises(ForbiddenError):
            failures.retry(desk, engine, office.actor(SPECIALIST), job_id)
        for _ in range(2):
            job = failures.retry(desk, engine, office.actor(ADMINISTRATOR), job_id)
            assert job.state in {"queued", "running"}
        done = settled(engine, job_id, "done")
    assert done.runs == 2
    row = office.row(document_id)
    assert (row["stage"], row["state"], row["pending"]) == (None, "signed", None)
    told = [one["action"] for one in office.rows("history_entries", subject_id=document_id)]
    assert told.count("document.job-retried") == 1
    with pytest.raises(ConflictError):  # it is over
        failures.retry(desk, engine, office.actor(ADMINISTRATOR), job_id)
