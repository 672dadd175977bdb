"""`docflow dev` (make run S3=1): an instance on a SeaweedFS of its own, both stopped by one Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from docflow.cli.credentials import read_credentials
from tests.api_support import answered
from tests.e2e.served import LETTER, Person, until
from tests.office_support import CLERK

SERVES = re.compile(r"docflow serves (http://\S+)")


@contextmanager
def running(folder: Path, log: Path) -> Iterator[str]:
    """Run it, give its address, and press Ctrl-C."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "docflow", "dev", "--data-dir", str(folder), "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
        )  # fmt: skip

    def text() -> str:
        return log.read_text("utf-8", "replace").replace("\n", " ")

    def serves() -> bool:
        assert process.poll() is None, text()[-2000:]
        return SERVES.search(text()) is not None and "startup complete" in text()

    try:
        until(serves, "the start", 90)
        found = SERVES.search(text())
        assert found is not None
        yield found[1]
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
    assert "have stopped" in text()
    assert "DEVELOPMENT ONLY" in text()


def services_of(folder: Path) -> list[int]:
    """Processes of SeaweedFS that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"-dir={folder / 's3' / 'seaweedfs' / 'data'}".encode() in words:
            found.append(int(path.parent.name))
    return found


def clerk_at(address: str, folder: Path) -> Person:
    client = httpx2.Client(base_url=address, timeout=60)
    given = {"login": CLERK, "password": read_credentials(folder / "s3" / "credentials.txt")[CLERK]}
    token = answered(Person(client).post("/v1/sessions", given), 201)["token"]
    return Person(client, token)


def test_what_is_posted_is_there_after_a_restart_and_both_stop(
    tmp_path: Path, served_template: Path
) -> None:
    content = (served_template / LETTER).read_bytes()
    with running(tmp_path, tmp_path / "first.log") as address:
        clerk = clerk_at(address, tmp_path)
        document = clerk.post_document(
            content, direction="incoming", type="CV", subject="Thử", issuer="Sở Tài chính",
            issuer_symbol="1/STC", issuer_date="2026-03-02",
        )  # fmt: skip
        clerk.client.close()
        assert services_of(tmp_path)
        assert not list((tmp_path / "s3").rglob("store/files/*")), "the bytes are in the bucket"
    assert services_of(tmp_path) == []
    with running(tmp_path, tmp_path / "second.log") as address:
        clerk = clerk_at(address, tmp_path)
        url = f"/v1/documents/{document['id']}/files"
        (file,) = clerk.read(url)
        assert clerk.get(f"{url}/{file['id']}/content").content == content
        clerk.client.close()
    assert services_of(tmp_path) == []
    assert (tmp_path / "s3" / "seaweedfs" / "secret").stat().st_mode & 0o77 == 0


def test_it_is_refused_in_production_and_beside_a_bucket(tmp_path: Path) -> None:
    for settings, told in (
        ({"DOCFLOW_ENVIRONMENT": "production"}, "not for production"),
        ({"DOCFLOW_S3_ENDPOINT": "https://storage.example"}, "names a service already"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "docflow", "dev", "--data-dir", str(tmp_path)],
            env=os.environ | settings, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, told in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []
