"""What a monitoring system reads at /metrics: requests as they are counted, the rest when it asks.

Rules: labels are few and bounded (route templates, never paths; statuses; codes), and tell nothing of
people or content. Nothing is counted where no one may ask. What cannot be asked, because the database
is away, is left out and told by `docflow_up`, so that the rest is still there.
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from docflow import __version__
from docflow.bootstrap import Services
from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.release import expiry, standing
from docflow.settings import Settings
from docflow.upkeep.report import Report, report

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LEAST_TOKEN = 24
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

Observer = Callable[[str, str, int, float], None]
"""Called after each request with method, route template, status and seconds."""


def read_token(settings: Settings) -> str | None:
    """Return the token that whoever reads the metrics must have, None if nobody may.

    Read anew each time, so that it is changed without a restart.

    Raises:
        ConfigurationError: if the file cannot be read, or what is in it could be guessed.
    """
    path = settings.metrics_token_file
    if path is None:
        return None
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"DOCFLOW_METRICS_TOKEN_FILE: {path} cannot be read.") from error
    if len(token) < _LEAST_TOKEN or not token.isascii() or " " in token:
        raise ConfigurationError(
            f"DOCFLOW_METRICS_TOKEN_FILE: {path} needs a token of {_LEAST_TOKEN} or more letters "
            "and digits, as `openssl rand -hex 32` makes.",
        )
    return token


class Metrics:
    """The metrics of one process."""

    def __init__(self, services: Services) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "docflow_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "docflow_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Instance(services))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `status` 0 is one whose answer broke off before it began."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)


class _Instance(Collector):
    """Asks the instance when someone asks it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        """Tell nothing beforehand: registering must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Give what is so now."""
        build = GaugeMetricFamily("docflow_build", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        failures = CounterMetricFamily(
            "docflow_store_failures",
            "Requests of the object store that failed in this process, by error code.",
            labels=["code"],
        )
        for code, count in sorted(self._services.store.failures.items()):
            failures.add_metric([code], count)
        yield failures
        yield from _staging(self._services.staging.folder)
        up = GaugeMetricFamily("docflow_up", "Whether the database answered.", labels=["part"])
        try:
            stamps = standing.counts(self._services.keeper)
            certificates = expiry.leaned_on(
                self._services.desk, self._services.studio.verifier.anchors
            )
            states = self._services.engine.count_open()
            told = report(self._services.database)
        except UnavailableError:
            up.add_metric(["database"], 0)
            yield up
            return
        up.add_metric(["database"], 1)
        yield up
        jobs = GaugeMetricFamily(
            "docflow_jobs", "Background jobs that are not over, by state.", labels=["state"]
        )
        for state, count in sorted(states.items()):
            jobs.add_metric([state], count)
        yield jobs
        yield _archive(stamps)
        yield from _certificates(certificates)
        yield from _storage(told)


def _archive(counts: Mapping[str, int]) -> Metric:
    stamps = GaugeMetricFamily(
        "docflow_archive_timestamps",
        "Archive time stamps, counted up to 1,000: ending soon, due (being renewed), retrying (failed, "
        "tried again by itself), failed (needs a person).",
        labels=["state"],
    )
    needs_person = counts["failed"] - counts["retrying"]
    for state, count in sorted({**counts, "failed": needs_person}.items()):
        stamps.add_metric([state], count)
    return stamps


def _certificates(found: Sequence[expiry.CertificateStanding]) -> Iterator[Metric]:
    ending = GaugeMetricFamily(
        "docflow_certificates_ending",
        "Certificates that the office leans on and that end within so many days (0: are over), by use.",
        labels=["use", "within"],
    )
    counted = Counts((one.use, one.warning) for one in found if one.warning is not None)
    for use in expiry.USES:
        for within in (0, *expiry.WARN_DAYS):
            ending.add_metric([use, str(within)], counted[use, within])
    yield ending
    first = GaugeMetricFamily(
        "docflow_certificate_end_timestamp_seconds",
        "When the first certificate of a use ends.",
        labels=["use"],
    )
    for use in expiry.USES:
        ends = [one.until.timestamp() for one in found if one.use == use]
        if ends:
            first.add_metric([use], min(ends))
    yield first


def _staging(folder: Path) -> Iterator[Metric]:
    sizes = []
    for path in folder.glob("*.part"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue  # stored, or dropped, just now
    yield GaugeMetricFamily("docflow_staging_files", "Files being received.", value=len(sizes))
    yield GaugeMetricFamily("docflow_staging_bytes", "Their size.", value=sum(sizes))


def _storage(told: Report) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "docflow_scan_round", "The newest round of the integrity scan.", value=told.round
    )
    yield GaugeMetricFamily(
        "docflow_scan_progress_ratio", "How far that round is.", value=told.share
    )
    yield GaugeMetricFamily(
        "docflow_scan_round_objects", "Files read in that round.", value=told.objects
    )
    yield GaugeMetricFamily("docflow_scan_round_bytes", "Bytes read in it.", value=told.bytes)
    if told.updated_at is not None:
        yield GaugeMetricFamily(
            "docflow_scan_updated_timestamp_seconds",
            "When the scan last did anything.",
            value=told.updated_at.timestamp(),
        )
    findings = GaugeMetricFamily(
        "docflow_storage_findings", "Findings that are open, by kind.", labels=["kind"]
    )
    for kind, count in sorted(told.open.items()):
        findings.add_metric([kind], count)
    yield findings
    if told.sweeper is not None:
        for name, what in (
            ("examined", "Objects that the sweeper looked at."),
            ("deleted", "Objects that it deleted: no row referred to them."),
            ("deleted_bytes", "Their bytes."),
            ("uploads_ended", "Multipart uploads that it gave up."),
        ):
            yield CounterMetricFamily(f"docflow_sweeper_{name}", what, value=told.sweeper[name])
