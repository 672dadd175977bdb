"""What a very large file costs in memory: growth of a served process's peak against idle, over HTTP.

The file is a PDF, so it takes the whole way of a main file: received, hashed, sealed if it is
confidential, opened and checked, stored, and downloaded again. Every byte is compared.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import storage_room
from bench.client import WrongResultError, json_request, request
from bench.content import large_pdf
from bench.figures import Figure, bounded
from bench.instance import SERVE, Instance, Service, prepare, serving
from bench.large import LargeHttp
from bench.raw_stores import PART_BYTES
from docflow.storage.s3_options import S3Options
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

AT_MOST_MIB = 32
_MIB = 2**20
_SLACK = _MIB  # what a PDF has beside its pictures
_DRAFT = {"direction": "outgoing", "type": "QĐ", "subject": "Bench", "recipients": ["STC"]}


@dataclass(frozen=True, slots=True)
class Ground:
    """Where files are stored, and the settings that say so."""

    where: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    bucket: S3Options | None = None


def ground(folder: Path, server: S3Server | None) -> Ground:
    """Return a bucket of the service, or the local folder if there is none."""
    folder.mkdir()
    if server is None:
        return Ground("folder", folder)
    secret = folder / "s3-secret"
    secret.write_text(SECRET_KEY)
    bucket = server.options(part_bytes=PART_BYTES, timeout_seconds=120.0)
    settings = {
        "s3_endpoint": server.endpoint,
        "s3_bucket": bucket.bucket,
        "s3_access_key": ACCESS_KEY,
        "s3_secret_key_file": secret,
        "s3_timeout_seconds": 120.0,
    }
    return Ground("S3", folder, settings, bucket)


def transfers(ground: Ground, mib: int) -> Iterator[Figure]:
    """Upload and download a file of so many MiB, plain and sealed."""
    url = f"sqlite:///{ground.folder / 'docflow.sqlite3'}"
    settings = ground.settings | {"max_file_bytes": mib * _MIB + _SLACK}
    instance = prepare(ground.folder, url, **settings)
    environment = {f"DOCFLOW_{name.upper()}": str(value) for name, value in settings.items()}
    with serving(instance, SERVE, **environment) as service:
        yield from _over_http(ground, instance, service, mib, "internal", "plain")
        sealed = list(_over_http(ground, instance, service, mib, "confidential", "sealed"))
    if sealed:
        yield from sealed
    else:
        yield from _in_the_storage_room(ground, mib)


def _over_http(
    ground: Ground, instance: Instance, service: Service, mib: int, level: str, how: str
) -> Iterator[Figure]:
    """Measure one classification; nothing comes if nobody here is cleared for it."""
    token = instance.tokens["specialist"]
    small = _draft(service, token, level)
    if small is None:
        return
    _put_and_get(service, token, small, 8 * _MIB)  # loads what any file needs
    large = _draft(service, token, level)
    if large is None:
        raise WrongResultError(f"a second {level} draft was refused")
    idle, (up, up_seconds), (down, down_seconds) = _put_and_get(service, token, large, mib * _MIB)
    for doing, peak, seconds in (("upload", up, up_seconds), ("download", down, down_seconds)):
        yield _figure(
            doing,
            mib,
            how,
            ground.where,
            peak - idle,
            seconds,
            f"over HTTP; idle, after one of 8 MiB: {idle:.0f} MiB",
        )


def _draft(service: Service, token: str, level: str) -> tuple[str, str] | None:
    """Return id and ETag of a new draft, None if the caller is not cleared for its classification."""
    http = LargeHttp(service.port)
    try:
        created = http.ask(
            json_request("POST", "/v1/documents", token, _DRAFT | {"classification": level}), None
        )
    finally:
        http.close()
    if created.status == 403 and created.json()["code"] == "clearance-required":
        return None
    if created.status != 201:
        raise WrongResultError(f"a {level} draft was refused: {created.body[:600]!r}")
    return created.json()["id"], created.etag


def _put_and_get(
    service: Service, token: str, draft: tuple[str, str], size: int
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Return MiB held before, and of both directions the peak (MiB) and the time (seconds)."""
    document_id, etag = draft
    content = large_pdf(size)
    http = LargeHttp(service.port)
    path = f"/v1/documents/{document_id}/files"
    try:
        idle = service.memory_mib()
        up = _peak(service, lambda: http.put_pdf(f"{path}/main", token, etag, content))
        listed = json.loads(http.ask(request("GET", path, token), 200).body)
        file = next(item for item in listed if item["role"] == "main")
        if file["size"] != content.size:
            raise WrongResultError(f"{file['size']} bytes are on file, not {content.size}")
        get = f"{path}/{file['id']}/content"
        down = _peak(service, lambda: http.compare(get, token, content))
    finally:
        http.close()
    return idle, up, down


def _peak(service: Service, action: Callable[[], object]) -> tuple[float, float]:
    service.forget_peak()
    started = time.perf_counter()
    action()
    return service.memory_mib("VmHWM"), time.perf_counter() - started


def _in_the_storage_room(ground: Ground, mib: int) -> Iterator[Figure]:
    found = storage_room.carry(ground.folder / "room", ground.bucket, mib * _MIB)
    note = (
        f"staging and sealed store in a process of their own, idle {found.idle:.0f} MiB; left out "
        "over HTTP, since nobody has a clearance there"
    )
    for doing, peak, seconds in (("upload", *found.up), ("download", *found.down)):
        yield _figure(doing, mib, "sealed", ground.where, peak - found.idle, seconds, note)


def _figure(
    doing: str, mib: int, how: str, where: str, growth: float, seconds: float, note: str
) -> Figure:
    size = f"{mib / 1024:g} GiB" if mib >= 1024 else f"{mib} MiB"
    rate = mib * _MIB / 1e6 / seconds
    return bounded(
        f"{doing} {size}, {how}",
        where,
        max(0.0, growth),
        "MiB",
        AT_MOST_MIB,
        f"growth of peak memory; {rate:,.0f} MB/s; {note}",
    )
