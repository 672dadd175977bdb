"""The requests docflow makes of an S3 service: the `minio` client, with conditional create added.

The client has no public way to send `If-None-Match` or to end a multipart upload on a condition, so
this class builds on what the client keeps for its own use (`_execute` and the multipart calls). That
use stays in this file; a new version of the client is admitted when the contract suite passes.
Requests are made once: retries are `Attempts`, which signs each try anew.
"""

import base64
import hashlib
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar
from xml.etree import ElementTree as ET

import urllib3
from minio import Minio
from minio.commonconfig import COMPLIANCE, GOVERNANCE
from minio.datatypes import parse_list_objects
from minio.error import S3Error
from minio.retention import Retention
from minio.time import from_iso8601utc
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from docflow.storage.s3_errors import FAILURES, failure_of, skew_seconds
from docflow.storage.s3_options import S3Options
from docflow.storage.store import StoredObject

_T = TypeVar("_T")
_EXISTS = {"PreconditionFailed"}
_ENDED = {"NoSuchUpload"}  # by an earlier try whose answer was lost
_GONE = {"NoSuchKey", "NoSuchVersion"}
_BINARY = "application/octet-stream"
_FIRST_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Head:
    """What the service says of an object."""

    size: int
    etag: str
    sha256: str | None
    version: str | None
    retain_until: datetime | None
    encrypted: str | None


class Attempts:
    """Tries of one request: as many as allowed, none after the time is up, with growing pauses."""

    def __init__(self, options: S3Options) -> None:
        self._attempts = options.attempts
        self._seconds = options.timeout_seconds
        self._bucket = options.bucket

    def run(self, doing: str, action: Callable[[], _T]) -> _T:
        """Return what `action` returns, trying again where that may help.

        Raises:
            DocflowError: what the last failure means; see `s3_errors`.
        """
        begun = time.monotonic()
        tried = 0
        while True:
            try:
                return action()
            except FAILURES as error:
                tried += 1
                failure = failure_of(error, doing, self._bucket)
                late = time.monotonic() - begun >= self._seconds
                if not failure.again or tried >= self._attempts or late:
                    raise failure.error from error
            pause = _FIRST_PAUSE_SECONDS * 2**tried
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads tries, guards nothing


class S3Client(Minio):
    """One bucket of one service. Methods raise what `s3_errors.FAILURES` lists."""

    def __init__(self, options: S3Options) -> None:
        super().__init__(
            options.netloc,
            secure=options.secure,
            region=options.region,
            credentials=options.credentials,
            http_client=_pool(options),
        )
        self._base_url.virtual_style_flag = options.virtual_host
        self._options = options
        self._bucket = options.bucket

    def _call(
        self,
        method: str,
        key: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        query: dict[str, str] | None = None,
        *,
        stream: bool = False,
    ) -> BaseHTTPResponse:
        return self._execute(
            method,
            self._bucket,
            self._options.object_name(key),
            body=body,
            headers=dict(headers or {}),
            query_params=dict(query or {}),
            preload_content=not stream,
            no_body_trace=True,
        )

    def reach(self) -> None:
        """Ask for the bucket; fails with the reason if it or the right to it is not there."""
        self._execute("GET", self._bucket, query_params={"list-type": "2", "max-keys": "1"})

    def skew(self) -> float | None:
        """Return how many seconds this machine's clock is ahead of the service's, if it tells."""
        query = {"list-type": "2", "max-keys": "1"}
        return skew_seconds(self._execute("GET", self._bucket, query_params=dict(query)).headers)

    def default_retention(self) -> str:
        """Return how long the bucket locks every object by itself, as `30 days`; "" if it does not."""
        try:
            config = self.get_object_lock_config(self._bucket)
        except S3Error as error:
            if error.code == "ObjectLockConfigurationNotFoundError":
                return ""
            raise
        if not config.duration:
            return ""
        return f"{config.duration} {(config.duration_unit or '').lower()}"

    def head(self, key: str, *, sure: bool = False) -> Head | None:
        """Return what the service says of an object, None if there is none.

        Answers to HEAD carry no reason: where it was refused, a GET asks for it; `sure` also asks
        whether it is not the bucket that is missing.
        """
        try:
            return head_of(self._call("HEAD", key))
        except S3Error as error:
            gone = error.code in _GONE or error.response.status == HTTPStatus.NOT_FOUND
            if (gone and sure) or not gone:
                try:
                    self._call("GET", key, {"Range": "bytes=0-0"})
                except S3Error as reason:
                    if reason.code not in _GONE:
                        raise reason from None
                    return None
            if gone:
                return None
            raise

    def read(self, key: str, first: int, end: int) -> BaseHTTPResponse:
        """Begin to read the bytes from `first` up to before `end`; the caller closes the answer."""
        return self._call("GET", key, {"Range": f"bytes={first}-{end - 1}"}, stream=True)

    def create(self, key: str, data: bytes, headers: dict[str, str]) -> bool:
        """Write an object that is not there; tell whether it was written."""
        sent = {"Content-Type": _BINARY, "Content-MD5": _md5(data), "If-None-Match": "*", **headers}
        try:
            self._call("PUT", key, sent, data)
        except S3Error as error:
            if error.code in _EXISTS:
                return False
            raise
        return True

    def replace(self, key: str, data: bytes, headers: dict[str, str]) -> str | None:
        """Write an object whether or not it is there; return its version if versions are kept."""
        sent = {"Content-Type": _BINARY, "Content-MD5": _md5(data), **headers}
        return _version(self._call("PUT", key, sent, data))

    def begin(self, key: str, headers: dict[str, str]) -> str:
        """Begin a multipart upload; return its id."""
        name = self._options.object_name(key)
        return self._create_multipart_upload(
            self._bucket, name, {**headers, "Content-Type": _BINARY}
        )

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        """Send one part (from 1); return its ETag."""
        query = {"partNumber": str(number), "uploadId": upload}
        answer = self._call("PUT", key, {"Content-MD5": _md5(data)}, data, query)
        return answer.headers.get("etag", "").strip('"')

    def complete(self, key: str, upload: str, etags: list[str]) -> bool:
        """End a multipart upload if the object is not there; tell whether it was written."""
        root = ET.Element("CompleteMultipartUpload")
        for number, etag in enumerate(etags, 1):
            part = ET.SubElement(root, "Part")
            ET.SubElement(part, "PartNumber").text = str(number)
            ET.SubElement(part, "ETag").text = f'"{etag}"'
        headers = {"Content-Type": "application/xml", "If-None-Match": "*"}
        try:
            answer = self._call("POST", key, headers, ET.tostring(root), {"uploadId": upload})
            if b"<Error" in answer.data:  # S3 may find out after it has answered 200
                raise S3Error.fromxml(answer)
        except S3Error as error:
            if error.code in _EXISTS | _ENDED:
                return False
            raise
        return True

    def abort(self, key: str, upload: str) -> None:
        """Give a multipart upload up; its parts are deleted. Silent if it has ended."""
        try:
            self._call("DELETE", key, query={"uploadId": upload})
        except S3Error as error:
            if error.code not in _ENDED:
                raise

    def uploads(self, prefix: str) -> list[tuple[str, str, datetime]]:
        """Return a page of multipart uploads that have not ended: key, id, since when."""
        start = f"{self._options.prefix}/{prefix}" if self._options.prefix else prefix
        listed = self._list_multipart_uploads(self._bucket, prefix=start)
        return [
            (self._options.key_of(item.object_name), item.upload_id, item.initiated_time)
            for item in listed.uploads
            if item.upload_id and item.initiated_time and item.object_name.startswith(start)
        ]

    def remove(self, key: str, version: str | None = None) -> None:
        """Delete an object, or one version of it."""
        self._call("DELETE", key, query={"versionId": version} if version else {})

    def versions(self, key: str) -> list[str]:
        """Return the versions of an object, newest first, and then its delete markers."""
        name = self._options.object_name(key)
        return [
            str(item.version_id)
            for item in self.list_objects(self._bucket, prefix=name, include_version=True)
            if item.object_name == name and item.version_id
        ]

    def retain(self, key: str, until: datetime) -> None:
        """Set or lengthen the retention of an object."""
        mode = GOVERNANCE if self._options.lock == "governance" else COMPLIANCE
        name = self._options.object_name(key)
        self.set_object_retention(self._bucket, name, Retention(mode, until))

    def page(self, prefix: str, token: str | None) -> tuple[list[StoredObject], str | None]:
        """Return some objects whose key begins with `prefix`, and where to go on, None at the end."""
        start = f"{self._options.prefix}/{prefix}" if self._options.prefix else prefix
        query = {"list-type": "2", "prefix": start, "encoding-type": "url"}
        if token:
            query["continuation-token"] = token
        answer = self._execute("GET", self._bucket, query_params=dict(query))
        items, more, following, _ = parse_list_objects(answer)
        found = [
            StoredObject(self._options.key_of(item.object_name), item.size or 0, item.last_modified)
            for item in items
            if item.object_name and item.last_modified
        ]
        return found, following if more else None


def head_of(answer: BaseHTTPResponse) -> Head:
    """Read the headers of an answer to HEAD or GET; `size` is that of the whole object.

    Raises:
        ValueError: if the answer does not tell the size.
    """
    headers = answer.headers
    whole = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
    until = headers.get("x-amz-object-lock-retain-until-date")
    return Head(
        size=int(whole),
        etag=headers.get("etag", ""),
        sha256=headers.get("x-amz-meta-sha256"),
        version=_version(answer),
        retain_until=from_iso8601utc(until) if until else None,
        encrypted=headers.get("x-amz-server-side-encryption"),
    )


def _version(answer: BaseHTTPResponse) -> str | None:
    version = answer.headers.get("x-amz-version-id")
    return version if version != "null" else None


def _md5(data: bytes) -> str:
    """Return the checksum that every S3 service compares a body with; it guards against damage.

    The SHA-256 that requests over plain HTTP are signed with is not compared by all of them.
    """
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _pool(options: S3Options) -> urllib3.PoolManager:
    """Return connections with bounded waits, no retries and no redirects of their own."""
    arguments: dict[str, object] = {}
    if options.secure:
        context = ssl.create_default_context(cafile=options.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        arguments["ssl_context"] = context
    pool = urllib3.PoolManager(
        maxsize=options.connections,
        retries=False,
        timeout=urllib3.Timeout(connect=options.connect_seconds, read=options.timeout_seconds),
        **arguments,  # type: ignore[arg-type]
    )
    pool.pool_classes_by_scheme = _patient(options.timeout_seconds)
    return pool


def _patient(seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    """Return pools whose connections may take `seconds` to send.

    Left alone, a new connection sends under the wait for *connecting*, which a large part on a slow
    line does not meet.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(seconds)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(seconds)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
