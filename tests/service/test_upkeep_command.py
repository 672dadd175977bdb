"""`docflow storage scan` and `status` as an operator sees them."""

import subprocess
import sys
from pathlib import Path

from tests.office_support import Instance


def storage(
    instance: Instance, *arguments: str, width: int = 80
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "docflow", "storage", *arguments, "--data-dir", str(instance.folder)],
        capture_output=True, text=True, timeout=120, check=False,
        env={"COLUMNS": str(width), "DOCFLOW_DATABASE_URL": instance.settings.database_url,
             "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def test_scan_and_status_tell_what_is_wrong_and_end_with_one(instance: Instance) -> None:
    documents = [instance.incoming(number) for number in range(3)]
    before = storage(instance, "status")
    assert (before.returncode, "no round was begun yet" in before.stdout) == (0, True)
    whole = storage(instance, "scan")
    assert whole.returncode == 0, whole.stderr
    assert "Read 3 files" in whole.stdout
    assert "Nothing is known to be wrong." in whole.stdout
    row = instance.rows("files", document_id=documents[1])[0]
    path: Path = instance.folder / "store" / row["storage_key"]
    path.chmod(0o600)
    path.write_bytes(b"x")
    found = storage(instance, "scan", "--full")
    assert found.returncode == 1
    for word in ("wrong-size", row["storage_key"], documents[1], "1 findings are open"):
        assert word in found.stdout
    assert row["name"] not in found.stdout
    again = storage(instance, "status", width=60)
    assert again.returncode == 1
    # what cannot be broken, such as a key, may be longer; tables keep to the terminal
    assert all(len(line) <= 60 for line in again.stdout.splitlines() if "  object" not in line)


def test_a_scan_waits_for_no_one_for_ever(instance: Instance) -> None:
    with instance.database.exclusive("storage-scan"):
        assert instance.services.upkeep.scanner.run_on(anew=True, wait_seconds=0.5).idle
