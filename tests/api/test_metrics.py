"""/metrics: only with its own token, never a path or a name, and still there without a database."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from docflow.api.metrics import Metrics, read_token
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.settings import Settings
from docflow.storage import content_key
from tests.api.conftest import open_office
from tests.api_support import Door, Office, refused
from tests.office_support import ADMINISTRATOR, CLERK, Instance, copy_instance

TOKEN = "k7Qm2vXw9Rt4Zp8Ls3Hd6Fy1"


@pytest.fixture
def measured(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Office]:
    folder = tmp_path / "var"
    copy_instance(prepared, folder)
    (tmp_path / "token").write_text(TOKEN + "\n")
    instance = Instance(
        folder, f"sqlite:///{folder / 'docflow.sqlite3'}", clock,
        metrics_token_file=tmp_path / "token",
    )  # fmt: skip
    yield from open_office(instance)
    instance.close()


def monitor(office: Office, token: str = TOKEN) -> Door:
    return Door(office.client, token)


def read(office: Office) -> dict[tuple[str, ...], float]:
    """Every sample: its name and its labels' values, and its value."""
    answer = monitor(office).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def test_without_a_token_file_there_are_no_metrics(office: Office) -> None:
    refused(office.login(ADMINISTRATOR).get("/metrics"), 404, "metrics-off")


def test_only_the_token_opens_them(measured: Office) -> None:
    refused(measured.nobody.get("/metrics"), 401, "unauthenticated")
    refused(measured.login(ADMINISTRATOR).get("/metrics"), 401, "unauthenticated")
    problem = refused(monitor(measured, TOKEN[:-1]).get("/metrics"), 401, "unauthenticated")
    assert TOKEN not in str(problem)
    refused(monitor(measured).get("/v1/documents"), 401, "invalid-token")
    assert monitor(measured).get("/metrics").status_code == 200


def test_the_token_is_changed_without_a_restart(measured: Office) -> None:
    path = measured.instance.settings.metrics_token_file
    assert path is not None
    path.write_text("x" * 32)
    refused(monitor(measured).get("/metrics"), 401, "unauthenticated")
    assert monitor(measured, "x" * 32).get("/metrics").status_code == 200


@pytest.mark.parametrize("content", ["", "short", "two words that are long enough for it", None])
def test_a_token_that_can_be_guessed_or_read_by_nobody_stops_the_start(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    settings = Settings.load(data_dir=tmp_path, metrics_token_file=path)
    with pytest.raises(ConfigurationError, match="DOCFLOW_METRICS_TOKEN_FILE") as refusal:
        read_token(settings)
    assert not content or content not in refusal.value.detail


def test_requests_are_counted_by_route_and_never_by_path(measured: Office) -> None:
    clerk = measured.login(CLERK)
    document = measured.instance.incoming(1)
    for _ in range(3):
        clerk.read(f"/v1/documents/{document}")
    clerk.get("/v1/documents/nothing")
    clerk.get("/no/such/place/at/all")
    clerk.request("BREW", "/v1/documents")
    samples = read(measured)
    route = "/v1/documents/{document_id}"
    assert samples["docflow_http_requests_total", "GET", route, "200"] == 3
    assert samples["docflow_http_requests_total", "GET", route, "404"] == 1
    assert samples["docflow_http_request_seconds_count", route] == 4
    assert samples["docflow_http_request_seconds_sum", route] > 0
    text = monitor(measured).get("/metrics").text
    for secret in (document, "no/such", "BREW", CLERK, "Công văn", TOKEN):
        assert secret not in text
    labels = {name[2] for name in samples if name[0] == "docflow_http_requests_total"}
    assert labels <= {"-", "/v1/sessions", route, "/v1/documents", "/metrics"}


def test_jobs_scan_sweeper_and_staging_are_told(measured: Office) -> None:
    instance = measured.instance
    document = instance.to_approved(instance.draft())
    instance.fire("son.nh", document, "sign")  # queued, and nobody works
    key = instance.rows("files", document_id=document)[0]["storage_key"]
    (instance.folder / "store" / key).unlink()
    instance.services.upkeep.scanner.run_on(anew=True)
    instance.services.upkeep.sweeper.run()
    receiving = instance.services.staging.begin()
    receiving.write(b"x" * 1000)
    samples = read(measured)
    receiving.abort()
    assert samples["docflow_jobs", "queued"] == 1
    assert samples["docflow_jobs", "failed"] == 0
    assert samples["docflow_storage_findings", "missing"] == 1
    assert samples["docflow_scan_round",] == 1
    assert samples["docflow_scan_progress_ratio",] == 1
    assert samples["docflow_sweeper_deleted_total",] == 0
    assert (samples["docflow_staging_files",], samples["docflow_staging_bytes",]) == (1, 1000)
    assert samples["docflow_up", "database"] == 1
    assert samples["process_resident_memory_bytes",] > 2**20


def test_failures_of_the_store_are_counted_by_code(measured: Office) -> None:
    store = measured.services.store
    for _ in range(2):
        with pytest.raises(Exception, match="missing"):
            store.open(content_key("ab" * 32))
    assert read(measured)["docflow_store_failures_total", "object-missing"] == 2


def test_what_needs_no_database_is_told_without_one(
    measured: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> sa.Connection:
        raise UnavailableError("away", code="database-unavailable")

    monkeypatch.setattr(measured.services.database, "read", away)
    samples = read(measured)
    assert samples["docflow_up", "database"] == 0
    assert not [name for name in samples if name[0] == "docflow_jobs"]
    assert [name for name in samples if name[0] == "docflow_staging_bytes"]


def test_counting_a_request_costs_microseconds(measured: Office) -> None:
    metrics = Metrics(measured.services)
    begun = time.perf_counter()
    for number in range(2000):
        metrics.observe("GET", "/v1/documents", 200 + number % 3, 0.01)
    assert (time.perf_counter() - begun) / 2000 < 0.001, "a millisecond on the slowest machine"


def test_names_have_the_form_that_monitoring_systems_expect(measured: Office) -> None:
    names = {name[0] for name in read(measured)}
    assert all(re.fullmatch(r"(docflow|process)_[a-z0-9_]+", name) for name in names)
