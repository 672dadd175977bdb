"""What docflow needs to know of an S3-compatible service, checked before the first request.

Credentials are held by a source, are read anew when their file changes, and show in no `repr`.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from minio.credentials.providers import Provider

from docflow.kernel.errors import ConfigurationError
from docflow.storage.store import check_key

MIN_PART_BYTES = 5 * 2**20  # S3: every part of a multipart upload but the last
MAX_PARTS = 10_000

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

LockMode = Literal["off", "governance", "compliance"]
Encryption = Literal["off", "s3", "kms"]


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where the bucket is and how it is spoken to.

    Args:
        endpoint: `https://host[:port]`, without the bucket.
        bucket: its name; it must exist already.
        credentials: where the keys come from.
        region: the region that requests are signed for.
        prefix: put before every key, so that instances can share a bucket; `""` for none.
        virtual_host: whether the bucket is part of the host name instead of the path.
        ca_file: PEM certificates to trust instead of the system's.
        lock: mode of Object Lock for objects that are put with a retention; `off` ignores it.
        encryption: what the service is asked to encrypt with.
        kms_key: the key of `kms`.
        part_bytes: size of one part of a large upload; also what one upload holds in memory.
        connect_seconds: longest wait for a connection.
        timeout_seconds: longest silence; no new try begins after it.
        attempts: tries of one request, the first included.
        connections: connections kept open.
    """

    endpoint: str
    bucket: str
    credentials: Provider = field(repr=False)
    region: str = "us-east-1"
    prefix: str = ""
    virtual_host: bool = False
    ca_file: Path | None = None
    lock: LockMode = "off"
    encryption: Encryption = "off"
    kms_key: str = ""
    part_bytes: int = 8 * 2**20
    connect_seconds: float = 5.0
    timeout_seconds: float = 30.0
    attempts: int = 4
    connections: int = 16

    def __post_init__(self) -> None:
        """Check the parts against each other.

        Raises:
            ConfigurationError: naming what is wrong and what would be right.
        """
        parts = urlsplit(self.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise _wrong(
                "endpoint", "is no address", "Write it as https://host or https://host:port."
            )
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
            raise _wrong(
                "endpoint",
                "is more than an address",
                "Leave out bucket, path and user: https://host:port.",
            )
        if not _BUCKET.fullmatch(self.bucket) or _ADDRESS.fullmatch(self.bucket):
            raise _wrong(
                "bucket",
                f"{self.bucket!r} is no bucket name",
                "It has 3 to 63 lower-case letters, digits, dots and hyphens.",
            )
        if self.prefix:
            try:
                check_key(self.prefix)
            except ValueError:
                raise _wrong(
                    "prefix", "is no key", "Lower-case segments such as offices/hue."
                ) from None
        if self.part_bytes < MIN_PART_BYTES:
            raise _wrong(
                "part size", "is too small", f"S3 asks for {MIN_PART_BYTES} bytes or more."
            )
        if (self.encryption == "kms") != bool(self.kms_key):
            raise _wrong(
                "encryption",
                "and its KMS key do not fit each other",
                "Name a key with kms, and none without.",
            )
        if self.ca_file is not None and self.secure and not self.ca_file.is_file():
            raise _wrong("CA file", f"{self.ca_file} is not there", "Name a PEM file.")

    def with_credentials(self, credentials: Provider) -> "S3Options":
        """Return the same options for someone else."""
        return replace(self, credentials=credentials)

    @property
    def secure(self) -> bool:
        """Tell whether the service is reached over TLS."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def exposed(self) -> bool:
        """Tell whether bytes cross a network in the clear: no TLS, and not this machine."""
        return not self.secure and urlsplit(self.endpoint).hostname not in _LOOPBACK

    @property
    def netloc(self) -> str:
        """Return host and port."""
        return urlsplit(self.endpoint).netloc

    def object_name(self, key: str) -> str:
        """Return the name in the bucket of the object with this key.

        Raises:
            ValueError: if it is not a key.
        """
        return f"{self.prefix}/{check_key(key)}" if self.prefix else check_key(key)

    def key_of(self, object_name: str) -> str:
        """Return the key of an object's name in the bucket."""
        return object_name.removeprefix(f"{self.prefix}/") if self.prefix else object_name

    def sealing_headers(self) -> dict[str, str]:
        """Return the headers that ask the service to encrypt what it stores."""
        if self.encryption == "s3":
            return {"x-amz-server-side-encryption": "AES256"}
        if self.encryption == "kms":
            return {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": self.kms_key,
            }
        return {}


def _wrong(what: str, problem: str, right: str) -> ConfigurationError:
    return ConfigurationError(
        f"The object storage's {what} {problem}. {right}", code="storage-misconfigured"
    )
