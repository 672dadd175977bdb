"""Workflow versions: pinned, never changed under their number, old ones loadable, third files free."""

import shutil
from pathlib import Path

import pytest

from docflow.db import Database
from docflow.documents.catalogue import Catalogue
from docflow.documents.shelf import Shelf
from docflow.kernel.errors import ConfigurationError, DocflowError, InvalidInputError
from docflow.kernel.resources import bundled
from docflow.people.seed import load_seed
from tests.office_support import HEAD, SPECIALIST, Instance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "workflows"
    shutil.copytree(bundled("workflows"), copy)
    return copy


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def stocked(database: Database, folder: Path) -> Shelf:
    shelf = Shelf(database)
    shelf.stock(folder, Catalogue(load_seed()))
    return shelf


def test_a_version_is_stored_once_with_its_digest(database: Database, folder: Path) -> None:
    first = stocked(database, folder).choose("outgoing", None)
    again = stocked(database, folder).choose("outgoing", None)
    assert first.id == again.id
    assert len(first.compiled.sha256) == 64


def test_a_changed_file_with_its_old_version_number_is_refused(
    database: Database, folder: Path
) -> None:
    stocked(database, folder)
    edit(folder / "outgoing.yaml", "due: 3d", "due: 4d")
    with pytest.raises(ConfigurationError, match="version: 3") as refused:
        stocked(database, folder)
    assert refused.value.code == "workflow-changed"


def test_a_new_version_is_for_new_documents_and_old_ones_stay_loadable(
    database: Database, folder: Path
) -> None:
    old = stocked(database, folder).choose("outgoing", None)
    edit(folder / "outgoing.yaml", "version: 2", "version: 3")
    edit(folder / "outgoing.yaml", "due: 3d", "due: 4d")
    shelf = stocked(database, folder)
    assert shelf.choose("outgoing", None).version == 3
    loaded = shelf.get(old.id)
    assert (loaded.version, loaded.compiled.sha256) == (2, old.compiled.sha256)


def test_a_third_file_needs_no_code(instance: Instance, folder: Path) -> None:
    third = folder / "notices.yaml"
    shutil.copy(folder / "outgoing.yaml", third)
    edit(third, "workflow: outgoing", "workflow: notices")
    instance.services.desk.shelf.stock(folder, instance.services.catalogue)
    document = instance.draft(workflow="notices", direction=None)
    instance.fire(SPECIALIST, document, "submit")
    instance.fire(HEAD, document, "approve")
    assert instance.row(document)["symbol"] == "01/QĐ-VPUB"
    with pytest.raises(InvalidInputError, match="Name the workflow"):
        instance.draft(workflow=None)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("number: {book: outgoing}", "number: {book: outgiong}", "outgoing"),
        ("calendar: office", "calendar: factory", "factory"),
        ("by: author", "by: autor", "author"),
        ("to: review", "to: reviews", "review"),
    ],
)
def test_a_file_that_names_what_is_not_there_stops_the_start(
    database: Database, folder: Path, old: str, new: str, told: str
) -> None:
    edit(folder / "outgoing.yaml", old, new)
    with pytest.raises(DocflowError, match=told):
        stocked(database, folder)


def test_a_folder_without_workflows_stops_the_start(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DOCFLOW_WORKFLOWS_DIR"):
        stocked(database, tmp_path)
