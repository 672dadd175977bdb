"""A service that is killed in mid-scan: the round goes on where it stood, and nothing is skipped."""

import sqlite3
from pathlib import Path
from typing import Any

from tests.e2e.served import Service, served, until
from tests.office_support import AUDITOR, copy_instance


def row(folder: Path, statement: str) -> tuple[Any, ...] | None:
    with sqlite3.connect(folder / "docflow.sqlite3") as connection:
        found = connection.execute(statement).fetchone()
    return found if found is None else tuple(found)


def stands(service: Service) -> tuple[Any, ...]:
    """Number, objects and last key of the newest round."""
    found = row(
        service.folder,
        "SELECT number, objects, last_key, finished_at FROM scan_rounds ORDER BY number DESC",
    )
    return found or (0, 0, "", None)


def test_a_round_goes_on_after_kill_9(served_template: Path, tmp_path: Path) -> None:
    copy_instance(served_template, tmp_path)
    url = f"sqlite:///{tmp_path / 'docflow.sqlite3'}"
    # at this rate a letter takes two seconds, and what is done is noted every five
    slow = {"scan_mib_per_second": "0.01", "embedded_worker": "false"}
    with served(tmp_path, url, **slow) as service:
        documents = [service.incoming()["id"] for _ in range(12)]
        service.kill()
        service.environment["DOCFLOW_EMBEDDED_WORKER"] = "true"
        service.start()
        until(lambda: 0 < stands(service)[1] < len(documents), "the first pieces", 60)
        service.kill()
        number, done, last, finished = stands(service)
        assert (number, finished) == (1, None)
        harmed = row(
            tmp_path,
            f"SELECT document_id, storage_key FROM files WHERE storage_key > '{last}' "  # noqa: S608
            "ORDER BY storage_key DESC",
        )
        assert harmed is not None
        (tmp_path / "store" / harmed[1]).unlink()
        service.environment["DOCFLOW_SCAN_MIB_PER_SECOND"] = "100"
        service.start()
        until(lambda: stands(service)[3] is not None, "the end of the round", 60)
        assert stands(service)[:2] == (1, len(documents)), "each once, in the same round"
        assert done < len(documents)
        auditor = service.login(AUDITOR)
        (finding,) = auditor.read("/v1/storage/findings")["items"]
        assert (finding["kind"], finding["document_id"]) == ("missing", harmed[0])
        assert auditor.read("/v1/storage/scan")["state"] == "finished"
