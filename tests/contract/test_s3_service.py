"""What the S3 store and its check do with a real service: TLS, host style, memory, encryption, lies."""

import socket
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from minio.commonconfig import GOVERNANCE
from minio.objectlockconfig import DAYS, ObjectLockConfig
from typer.testing import CliRunner

from docflow import bootstrap
from docflow.cli.storage import app
from docflow.kernel.errors import ConfigurationError
from docflow.storage import LocalStore, MemoryStore, ObjectStore, Staging
from docflow.storage.check import Finding, check
from tests.s3_faults import Fault, FaultProxy, xml_answer
from tests.s3_server import S3Server
from tests.s3_support import LARGE, SMALL, reads, stage

DOMAIN = "s3.docflow.example"


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", max_bytes=2**30)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(s3_server.port)
    yield proxy
    proxy.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for the loopback address and for buckets below the domain."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "storage of the tests")])
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName(f"*.{DOMAIN}")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "storage.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "storage.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "storage.pem", folder / "storage.key"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # of the plain client that looks on
def test_tls_with_an_own_ca_by_path_and_by_host_name(
    tmp_path: Path, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, key = certificate(tmp_path)
    server = S3Server(certificate=authority, key=key, domain=DOMAIN)
    try:
        bucket = server.bucket()
        store = server.store(bucket=bucket, ca_file=authority)
        for data in (SMALL, LARGE):
            name, staged = stage(staging, data)
            store.put(name, staged)
            assert reads(store, name) == data
        with pytest.raises(ConfigurationError, match="certificate is not trusted") as refused:
            server.store(bucket=bucket).require()
        assert refused.value.code == "storage-not-trusted"

        # the test's own name service: every bucket's host is this machine
        asked: list[str] = []
        resolve = socket.getaddrinfo

        def resolved(host: str, *rest: Any, **more: Any) -> Any:
            asked.append(host)
            return resolve("127.0.0.1" if host.endswith(DOMAIN) else host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        hosted = server.store(
            bucket=bucket,
            ca_file=authority,
            virtual_host=True,
            endpoint=f"https://{DOMAIN}:{server.port}",
        )
        assert reads(hosted, name) == LARGE
        assert f"{bucket}.{DOMAIN}" in asked
        assert [item.key for item in hosted.objects("files/")] != []

        elsewhere = server.store(
            bucket=bucket, ca_file=authority, endpoint=f"https://{DOMAIN}:{server.port}"
        )
        with pytest.raises(ConfigurationError, match="host name"):
            elsewhere.require()
    finally:
        server.stop()


def test_a_large_upload_and_download_hold_little_memory(
    s3_server: S3Server, staging: Staging
) -> None:
    store = s3_server.store()
    receiving = staging.begin()
    for _ in range(8):
        receiving.write(LARGE)
    staged = receiving.finish()
    tracemalloc.start()
    store.put("large", staged)
    with store.open("large") as file:
        while file.read(2**18):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert staged.size > 80 * 2**20
    assert peak < 16 * 2**20


def test_the_service_is_asked_to_encrypt_what_it_stores(
    s3_server: S3Server, staging: Staging
) -> None:
    store = s3_server.store(encryption="s3")
    for data in (SMALL, LARGE):
        key, staged = stage(staging, data)
        store.put(key, staged)
        head = store.client.head(key)
        assert head is not None
        assert head.encrypted == "AES256"
        assert reads(store, key) == data


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize("kind", ["memory", "local", "s3", "s3-locked"])
def test_a_good_store_passes_its_check_and_is_left_as_it_was(
    s3_server: S3Server, tmp_path: Path, staging: Staging, kind: str
) -> None:
    stores: dict[str, Any] = {
        "memory": MemoryStore,
        "local": lambda: LocalStore(tmp_path / "store"),
        "s3": lambda: s3_server.store(prefix="offices/hue"),
        "s3-locked": lambda: s3_server.store(lock="governance", encryption="s3"),
    }
    store: ObjectStore = stores[kind]()
    findings = by_name(check(store, staging))
    assert {
        name for name, finding in findings.items() if finding.state in {"lacks", "failed"}
    } == set()
    unused = {name for name, finding in findings.items() if finding.state == "not used"}
    assert unused == ({"lock", "default retention", "encryption"} if kind == "s3" else set())
    left = [item.key for item in store.objects("")]
    assert [key.rpartition("/")[2] for key in left] == (["locked"] if kind == "s3-locked" else [])
    assert list(staging.folder.iterdir()) == []


def test_a_service_that_lies_is_found_out(
    s3_server: S3Server, proxy: FaultProxy, staging: Staging
) -> None:
    store = s3_server.store(endpoint=proxy.endpoint, lock="governance", timeout_seconds=20.0)
    proxy.faults = [
        Fault(status={412: 200}),  # every writer is told that it won
        Fault(method="DELETE", within="versionId"),
    ]
    findings = by_name(check(store, staging))
    assert findings["conditional put"].state == "lacks"
    assert "8 of 8 writers" in findings["race of 8 conditional puts"].detail
    # an error inside an answer of 200, as S3 gives when it finds out late, is seen
    assert findings["conditional multipart"].state == "works"
    assert not any(finding.stops for finding in findings.values()), "docflow can live with that"

    proxy.faults = [Fault(status={403: 204})]  # locks and signatures are said to be overcome
    findings = by_name(check(store, staging))
    assert findings["lock"].state == "lacks"
    assert findings["lock"].stops
    assert findings["wrong secret key"].state == "lacks"
    assert findings["wrong secret key"].stops


def test_a_service_that_lacks_parts_or_metadata_is_found_out(
    s3_server: S3Server, proxy: FaultProxy, staging: Staging
) -> None:
    store = s3_server.store(endpoint=proxy.endpoint)
    proxy.faults = [
        Fault(method="POST", within="uploads", answer=xml_answer(501, "NotImplemented"))
    ]
    findings = by_name(check(store, staging))
    assert findings["large object"].state == "failed"
    assert findings["large object"].stops
    assert "NotImplemented" in findings["large object"].detail
    assert findings["put"].state == "works"


def test_a_bucket_that_locks_by_itself_or_not_at_all_is_told(
    s3_server: S3Server, staging: Staging
) -> None:
    locking = s3_server.store(lock="governance")
    s3_server.admin().set_object_lock_config(
        locking.options.bucket, ObjectLockConfig(GOVERNANCE, 1, DAYS)
    )
    finding = by_name(check(locking, staging))["default retention"]
    assert finding.state == "lacks"
    assert "locks every object for 1 days" in finding.detail
    plain = s3_server.store(bucket=s3_server.bucket(), lock="compliance")
    finding = by_name(check(plain, staging))["lock"]
    assert finding.stops
    assert "make it with Object Lock" in finding.detail


@pytest.mark.parametrize("bucket", ["there", "missing"])
def test_the_command_shows_a_table_and_ends_by_what_it_found(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    store = s3_server.store(bucket=s3_server.bucket() if bucket == "there" else "no-such-bucket")
    monkeypatch.setattr(bootstrap, "open_store", lambda settings: store)
    result = CliRunner().invoke(app, ["check", "--data-dir", str(tmp_path)])
    if bucket == "there":
        assert result.exit_code == 0
        assert "race of 8 conditional puts" in result.stdout
        assert "The storage does what docflow needs." in result.stdout
    else:
        assert result.exit_code == 1
        assert "failed" in result.stdout
        assert "must not be run on this storage: reach" in result.stderr
