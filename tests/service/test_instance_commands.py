"""What the commands say where the instance is not, or is not what it must be: one sentence each."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from docflow.bootstrap import open_database
from docflow.cli.demo_stage import running_service
from docflow.cli.instance import listening
from docflow.kernel.errors import UnavailableError
from docflow.settings import Settings
from tests.office_support import Instance
from tests.servers import PostgresServer

COMMANDS = (
    ["init"],
    ["migrate"],
    ["serve", "--port", "0"],
    ["worker"],
    ["jobs", "list"],
    ["audit", "verify"],
    ["keys", "status"],
    ["signatures", "status"],
    ["storage", "status"],
    ["storage", "check"],
    ["demo"],
)


def docflow(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "docflow", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
        env=environment | {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on standard error of a command that ended with 1."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_data_folder_that_is_a_file_is_told_in_one_sentence(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "var").write_text("no folder")
    told = sentence(docflow(*command, DOCFLOW_DATA_DIR=str(tmp_path / "var")))
    assert f"The data folder {tmp_path / 'var'} cannot be used (a file has this name)." in told
    assert "--data-dir" in told


@pytest.mark.parametrize("where", ["file/var", "/proc/docflow"])
def test_a_data_folder_that_cannot_be_made_is_told_in_one_sentence(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    told = sentence(docflow("init", "--data-dir", str(tmp_path / where)))
    assert "The data folder" in told
    assert "cannot be used (" in told


def test_a_file_in_the_place_of_a_folder_below_is_told_in_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    (folder / "staging").write_text("no folder")
    told = sentence(docflow("storage", "check", "--data-dir", str(folder)))
    assert f"{folder / 'staging'} cannot be used (File exists)." in told


def test_a_check_of_the_schema_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    told = sentence(docflow("migrate", "--check", "--data-dir", str(folder)))
    assert f"There is no database yet in {folder}" in told
    assert not folder.exists()


def test_a_schema_that_lacks_an_index_is_told_with_what_to_do(instance: Instance) -> None:
    folder = str(instance.folder)
    assert docflow("migrate", "--check", "--data-dir", folder).returncode == 0
    with instance.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_archive_stamps_storage_key")
    told = sentence(docflow("migrate", "--check", "--data-dir", folder))
    assert "The index ix_archive_stamps_storage_key of the table archive_stamps is missing" in told
    assert "CREATE INDEX ix_archive_stamps_storage_key ON archive_stamps (storage_key);" in told


@pytest.mark.parametrize(
    "command", [["init"], ["migrate", "--check"], ["jobs", "list"], ["serve", "--port", "0"]]
)
def test_a_database_that_does_not_answer_is_told_in_one_sentence(
    tmp_path: Path, command: list[str]
) -> None:
    done = docflow(
        *command, "--data-dir", str(tmp_path / "var"),
        DOCFLOW_DATABASE_URL="postgresql://u:secret@127.0.0.1:1/y",
    )  # fmt: skip
    told = sentence(done)
    assert "The database at 127.0.0.1:1 cannot be reached (Connection refused)." in told
    assert "DOCFLOW_DATABASE_URL" in told
    assert "secret" not in told


def test_a_database_that_is_not_there_is_told_by_its_server(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.create("docflow_gone")
    postgres.drop("docflow_gone")
    with pytest.raises(UnavailableError, match='"docflow_gone" does not exist'):
        open_database(Settings.load(data_dir=tmp_path, database_url=url))


def test_a_file_that_is_no_database_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "docflow.sqlite3").write_bytes(b"no database" * 200)
    told = sentence(docflow("jobs", "list", "--data-dir", str(tmp_path)))
    assert "cannot be opened (file is not a database)" in told


def test_the_demo_goes_on_with_no_service_but_its_own(tmp_path: Path) -> None:
    with listening("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        told = sentence(docflow("demo", "--port", str(port), "--data-dir", str(tmp_path / "var")))
    assert f"Port {port} on 127.0.0.1 is taken by another program" in told
    assert not (tmp_path / "var" / "credentials.txt").exists()


class Foreign(BaseHTTPRequestHandler):
    """A service of somebody else that says it is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_service_that_took_the_port_meanwhile_is_not_played_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo").mkdir()
    with HTTPServer(("127.0.0.1", 0), Foreign) as other:
        serving = threading.Thread(target=other.serve_forever)
        serving.start()
        try:
            with (
                pytest.raises(SystemExit) as ended,
                running_service(Settings.load(data_dir=tmp_path), other.server_port),
            ):
                pytest.fail("the demo goes on with a foreign service")
        finally:
            other.shutdown()
            serving.join()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert f"Port {other.server_port} on 127.0.0.1 is taken" in told.replace("\n", " ")


def test_the_openapi_document_is_written_with_a_word_and_a_missing_one_is_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "openapi.json"
    assert f"There is no file {path}" in sentence(docflow("openapi", "--check", str(path)))
    assert docflow("openapi", "--out", str(path)).stdout == f"wrote {path}\n"
    assert docflow("openapi", "--check", str(path)).returncode == 0


def test_a_key_file_that_holds_no_key_is_named(tmp_path: Path) -> None:
    proof, key = tmp_path / "one.tlog-proof", tmp_path / "key"
    proof.write_text("c2sp.org/tlog-proof@v1\n")
    told = sentence(docflow("verify", str(proof), "--key-file", str(key)))
    assert told.endswith(f"{key} cannot be read (No such file or directory).")
    key.write_text("nothing")
    told = sentence(docflow("verify", str(proof), "--key-file", str(key)))
    assert f"{key} holds no public key of a log: " in told


def test_a_setting_that_is_misspelt_is_told(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no folder")
    done = docflow(
        "init", "--data-dir", str(tmp_path / "var"), DOCFLOW_PUBLIC_ULR="x", DOCFLOW_ZZZ="x"
    )
    first, second, _ = done.stderr.splitlines()
    assert first == "warning: DOCFLOW_PUBLIC_ULR is no setting; is it DOCFLOW_PUBLIC_URL?"
    assert second == "warning: DOCFLOW_ZZZ is no setting."
