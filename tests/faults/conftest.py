"""A real S3 service, alone and behind a proxy that does what networks do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.storage import Staging
from docflow.storage.s3 import S3Store
from tests.s3_faults import FaultProxy
from tests.s3_server import S3Server


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", max_bytes=32 * 2**20)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(s3_server.port)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket()


@pytest.fixture
def direct(s3_server: S3Server, bucket: str, request: pytest.FixtureRequest) -> S3Store:
    """The service as it is: what others see."""
    return s3_server.store(bucket=bucket, prefix=f"p{abs(hash(request.node.name))}")


@pytest.fixture
def store(s3_server: S3Server, proxy: FaultProxy, direct: S3Store) -> S3Store:
    """The service behind the faults; three tries."""
    return s3_server.store(
        endpoint=proxy.endpoint,
        bucket=direct.options.bucket,
        prefix=direct.options.prefix,
        attempts=3,
    )
