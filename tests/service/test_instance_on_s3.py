"""A whole instance whose files and published log lie in a bucket of a real S3 service."""

from pathlib import Path

import pytest

from docflow import bootstrap
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError
from docflow.settings import Settings
from docflow.storage.s3 import S3Store
from tests.office_support import Instance, copy_instance, development
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET_KEY + "\n", "utf-8")
    return path


def test_a_document_is_released_from_a_bucket(
    tmp_path: Path, prepared: Path, clock: ManualClock, s3_server: S3Server, secret_file: Path
) -> None:
    copy_instance(prepared, tmp_path / "var")
    instance = Instance(
        tmp_path / "var",
        f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}",
        clock,
        s3_endpoint=s3_server.endpoint,
        s3_bucket=s3_server.bucket(),
        s3_access_key=ACCESS_KEY,
        s3_secret_key_file=secret_file,
    )
    services = instance.services
    assert isinstance(services.store.inner, S3Store)
    document = instance.to_released(instance.draft())
    assert instance.row(document)["state"] == "released"
    assert instance.findings() == ()
    assert not [path for path in (tmp_path / "var" / "store").rglob("*") if path.is_file()]
    instance.close()


def test_a_bucket_that_is_not_there_stops_the_start(
    tmp_path: Path, prepared: Path, clock: ManualClock, s3_server: S3Server, secret_file: Path
) -> None:
    copy_instance(prepared, tmp_path / "var")
    settings = Settings.load(
        data_dir=tmp_path / "var",
        s3_endpoint=s3_server.endpoint,
        s3_bucket="no-such-bucket",
        s3_access_key=ACCESS_KEY,
        s3_secret_key_file=secret_file,
    )
    with pytest.raises(ConfigurationError, match="no-such-bucket"), development():
        bootstrap.build(settings, clock)


def test_production_does_not_send_files_across_a_network_in_the_clear(
    tmp_path: Path, secret_file: Path
) -> None:
    settings = Settings.load(
        data_dir=tmp_path,
        environment="production",
        s3_endpoint="http://storage.example",
        s3_bucket="docflow",
        s3_access_key=ACCESS_KEY,
        s3_secret_key_file=secret_file,
    )
    with pytest.raises(ConfigurationError, match="https"):
        bootstrap.open_store(settings)
