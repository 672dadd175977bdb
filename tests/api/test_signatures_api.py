"""How signatures stand, over HTTP and on the command line."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from docflow.api.metrics import Metrics
from docflow.cli.main import app
from docflow.jobs.model import JobRun
from docflow.jobs.tables import jobs
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock, parse_rfc3339
from docflow.release import archive
from tests.api.conftest import open_office
from tests.api_support import Office
from tests.levels_support import office_at
from tests.office_support import ADMINISTRATOR, CLERK, LEADER, SPECIALIST, Instance, development
from tests.pki_support import LivePki


@pytest.fixture
def signing_office(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> Iterator[Office]:
    instance = office_at(
        tmp_path, prepared, clock, pki, signers={"seal": "expiring"}, signature_level="B-LTA"
    )
    yield from open_office(instance)
    instance.close()


def status(office: Office, monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> Result:
    """Run `docflow signatures status` on the office, at its time."""
    monkeypatch.setattr("docflow.bootstrap.sources.SystemClock", lambda: clock)
    settings = office.instance.settings
    for name in ("signers_file", "signing_services_file", "workflows_dir", "signature_level"):
        monkeypatch.setenv(f"DOCFLOW_{name.upper()}", str(getattr(settings, name)))
    with development():
        return CliRunner().invoke(
            app, ["signatures", "status", "--data-dir", str(settings.data_dir)]
        )


def test_an_operator_sees_levels_certificates_and_archive_time_stamps(
    signing_office: Office,
) -> None:
    instance = signing_office.instance
    document_id = instance.to_released(instance.draft())
    admin = signing_office.login(ADMINISTRATOR)
    shown = admin.get("/v1/signatures").json()
    assert shown["levels"] == ["B-B", "B-T", "B-LT", "B-LTA"]
    assert shown["default_level"] == "B-LTA"
    assert [(one["use"], one["days_left"], one["warning"]) for one in shown["certificates"]] == [
        ("seal", 17, 30), ("person", 1035, None), ("authority", 6879, None), ("root", 12357, None)
    ]  # fmt: skip
    assert (shown["ending"], shown["due"], shown["failed"]) == (0, 0, 0)
    (stamp,) = admin.get("/v1/archive-timestamps", state="current").json()["items"]
    assert (stamp["document_id"], stamp["number"], stamp["authority"]) == (document_id, 1, "tsa")
    assert admin.get("/v1/archive-timestamps", state="due").json()["items"] == []
    clerk = signing_office.login(CLERK)
    file = clerk.get(f"/v1/archive-timestamps/{stamp['id']}/file")
    assert hashlib.sha256(file.content).hexdigest() == stamp["sha256"]
    specialist = signing_office.login(SPECIALIST)
    assert specialist.get("/v1/signatures").status_code == 403
    assert specialist.get("/v1/archive-timestamps").status_code == 403
    missing = clerk.get("/v1/archive-timestamps/none/file")
    assert (missing.status_code, missing.json()["code"]) == (404, "archive-stamp-not-found")


@pytest.fixture
def ending_office(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> Iterator[Office]:
    instance = office_at(
        tmp_path, prepared, clock, pki, tsas=("tsa-ending",), signature_level="B-LTA"
    )
    yield from open_office(instance)
    instance.close()


def test_an_operator_sees_how_often_a_renewal_failed_and_when_it_is_begun_again(
    ending_office: Office, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = ending_office.instance
    instance.to_released(instance.draft())
    (stamp,) = instance.rows("archive_stamps")
    clock.advance(timedelta(days=60))
    keeper = instance.services.keeper
    assert keeper.run() == 1
    job = JobRun(instance.job(archive.job_of(stamp)), lambda _name, function: function())
    archive.on_failed(keeper, job, "The authority is away.")
    admin = ending_office.login(ADMINISTRATOR)
    shown = admin.get("/v1/signatures").json()
    assert (shown["due"], shown["failed"], shown["retrying"]) == (0, 1, 1)
    (told,) = admin.get("/v1/archive-timestamps", state="failed").json()["items"]
    assert (told["attempts"], told["error"]) == (1, "The authority is away.")
    assert parse_rfc3339(told["next_at"]) == clock.now() + timedelta(hours=6)
    done = status(ending_office, monkeypatch, clock)
    assert done.exit_code == 1, done.output
    assert "1 failed, 1 of them are tried again" in " ".join(done.output.split())
    assert "failed 1 times, again 20" in " ".join(done.output.split())
    assert metric(instance, "docflow_archive_timestamps") == {
        ("ending",): 0, ("due",): 0, ("failed",): 0, ("retrying",): 1
    }  # fmt: skip


def metric(instance: Instance, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a metric by the values of their labels."""
    families = text_string_to_metric_families(Metrics(instance.services).text().decode())
    (found,) = [family for family in families if family.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in found.samples}


def test_a_metric_counts_what_ends_by_use_and_names_nobody(signing_office: Office) -> None:
    instance = signing_office.instance
    counted = metric(instance, "docflow_certificates_ending")
    assert {labels for labels, count in counted.items() if count} == {("seal", "30")}
    first = metric(instance, "docflow_certificate_end_timestamp_seconds")
    assert first["seal",] == datetime(2026, 3, 20, tzinfo=UTC).timestamp()
    assert set(first) == {("seal",), ("person",), ("authority",), ("root",)}
    assert "Con dấu" not in Metrics(instance.services).text().decode()


def test_the_command_shows_the_same_and_ends_with_1_if_something_needs_a_person(
    signing_office: Office, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    done = status(signing_office, monkeypatch, clock)
    assert done.exit_code == 1, done.output
    assert "where none is named: B-LTA" in done.output
    assert "ends within 30 days" in done.output
    assert "0 failed" in done.output


def test_the_command_tells_what_a_renewal_waits_for(
    ending_office: Office, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = ending_office.instance
    instance.to_released(instance.draft())
    (stamp,) = instance.rows("archive_stamps")
    clock.advance(timedelta(days=60))
    assert instance.services.keeper.run() == 1
    with instance.database.unit_of_work(SERVICE) as uow:  # as the engine does after each try
        uow.connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == archive.job_of(stamp))
            .values(state="retrying", attempts=1, error="Its certificate lasts no longer.")
        )
    done = status(ending_office, monkeypatch, clock)
    assert stamp["id"] in done.output
    told = " ".join(done.output.split())  # however wide the terminal is
    assert "is being renewed, and waits: Its certificate lasts no longer." in told


def test_the_command_names_a_login_of_the_signers_file_that_nobody_has(
    signing_office: Office, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    path = signing_office.instance.settings.signers_file
    assert path is not None
    text = path.read_text("utf-8")
    assert f"{LEADER}:" in text
    path.write_text(text.replace(f"{LEADER}:", "son.hn:"), "utf-8")
    done = status(signing_office, monkeypatch, clock)
    assert done.exit_code == 1
    assert "names 'son.hn', and nobody has that login" in done.output
