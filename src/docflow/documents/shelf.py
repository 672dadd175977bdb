"""The workflows that documents are pinned to: every version that was ever in use, compiled once.

Rules: a version's source is stored when it is first seen and never changes; a file whose content
changed while its version number did not is refused; the newest version of a name is what new
documents get; old versions are compiled from the stored source, so they outlive their file.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from docflow.db import Database, Draft
from docflow.documents.catalogue import Catalogue, hint
from docflow.documents.tables import workflows
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import ConfigurationError, FieldProblem, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.workflow.loader import load, load_source
from docflow.workflow.machine import CompiledWorkflow


@dataclass(frozen=True, slots=True)
class Pinned:
    """A stored workflow version: its row's id and the compiled definition."""

    id: str
    compiled: CompiledWorkflow

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self.compiled.definition.workflow

    @property
    def version(self) -> int:
        """The version number that its YAML says."""
        return self.compiled.definition.version


class Shelf:
    """Gives compiled workflows by id, by name and by direction; threads share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._by_id: dict[str, Pinned] = {}
        self._newest: dict[str, Pinned] = {}

    def stock(self, folder: Path, catalogue: Catalogue) -> None:
        """Load every `*.yaml` of a folder, check it and store what is new.

        Raises:
            ConfigurationError: if a file is wrong, names a book or calendar that the office lacks,
                or changed without a new version number.
        """
        paths = sorted(folder.glob("*.yaml"))
        if not paths:
            raise ConfigurationError(
                f"There is no workflow file (*.yaml) in {folder}; set DOCFLOW_WORKFLOWS_DIR."
            )
        seen: dict[tuple[str, int], Path] = {}
        for path in paths:
            compiled = load(path)
            _check_references(path, compiled, catalogue)
            key = (compiled.definition.workflow, compiled.definition.version)
            if key in seen:
                raise ConfigurationError(
                    f"{path.name} and {seen[key].name} both define {key[0]} version {key[1]}."
                )
            seen[key] = path
            self._remember(self._pin(path, compiled))

    def _pin(self, path: Path, compiled: CompiledWorkflow) -> Pinned:
        definition = compiled.definition
        where = sa.and_(
            workflows.c.name == definition.workflow,
            workflows.c.workflow_version == definition.version,
        )
        with self._database.unit_of_work(SERVICE) as uow:
            row = uow.connection.execute(
                sa.select(workflows.c.id, workflows.c.sha256).where(where)
            ).one_or_none()
            if row is None:
                uow.serialise(f"workflow {definition.workflow} {definition.version}")
                row = uow.connection.execute(
                    sa.select(workflows.c.id, workflows.c.sha256).where(where)
                ).one_or_none()
            if row is not None:
                if row.sha256 != compiled.sha256:
                    raise ConfigurationError(
                        f"{path.name} changed, but still says version {definition.version} of "
                        f"{definition.workflow!r}; documents are pinned to what that version "
                        f"said. Write `version: {definition.version + 1}`, or restore the file.",
                        code="workflow-changed",
                    )
                return Pinned(row.id, compiled)
            workflow_id = new_id()
            uow.create(
                workflows,
                {
                    "id": workflow_id,
                    "name": definition.workflow,
                    "workflow_version": definition.version,
                    "sha256": compiled.sha256,
                    "direction": definition.direction,
                    "source": compiled.source,
                    "loaded_at": uow.now,
                },
                Draft(
                    "workflow.loaded",
                    {
                        "name": definition.workflow,
                        "version": definition.version,
                        "sha256": compiled.sha256,
                    },
                ),
            )
            return Pinned(workflow_id, compiled)

    def _remember(self, pinned: Pinned) -> None:
        with self._lock:
            self._by_id[pinned.id] = pinned
            newest = self._newest.get(pinned.name)
            if newest is None or newest.version < pinned.version:
                self._newest[pinned.name] = pinned

    def get(self, workflow_id: str) -> Pinned:
        """Return a pinned version, compiling an old one from its stored source once."""
        with self._lock:
            found = self._by_id.get(workflow_id)
        if found is not None:
            return found
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(workflows.c.name, workflows.c.source).where(workflows.c.id == workflow_id)
            ).one()
        pinned = Pinned(workflow_id, load_source(row.source.encode(), row.name, prove=False))
        with self._lock:
            self._by_id[workflow_id] = pinned
        return pinned

    def newest(self) -> tuple[Pinned, ...]:
        """Return the newest version of every workflow on file."""
        with self._lock:
            return tuple(self._newest.values())

    def choose(self, name: str | None, direction: str | None) -> Pinned:
        """Return the workflow that a new document gets.

        Args:
            name: the workflow's name, or None to choose by direction.
            direction: the direction, or None to choose by name.

        Raises:
            InvalidInputError: if there is none, more than one, or name and direction disagree.
        """
        known = {pinned.name: pinned for pinned in self.newest()}
        if name is not None:
            pinned = known.get(name)
            if pinned is None:
                raise _unknown("/workflow", f"There is no workflow {name!r}", name, known)
            if direction not in (None, pinned.compiled.definition.direction):
                raise _unknown(
                    "/direction",
                    f"Workflow {name!r} is for {pinned.compiled.definition.direction} documents",
                    name,
                    known,
                )
            return pinned
        fitting = [p for p in known.values() if p.compiled.definition.direction == direction]
        if len(fitting) == 1:
            return fitting[0]
        names = [p.name for p in fitting] or list(known)
        raise InvalidInputError(
            f"Name the workflow: {len(fitting)} are for {direction or 'no'} direction.",
            code="unknown-workflow",
            fields=[FieldProblem("/workflow", f"one of {', '.join(names)}")],
        )


def _unknown(pointer: str, text: str, name: str, known: Iterable[str]) -> InvalidInputError:
    names = list(known)
    return InvalidInputError(
        f"{text}; {hint(name, names)}",
        code="unknown-workflow",
        fields=[FieldProblem(pointer, f"known workflows: {', '.join(names)}")],
    )


def _check_references(path: Path, compiled: CompiledWorkflow, catalogue: Catalogue) -> None:
    definition = compiled.definition
    for book in sorted(definition.books):
        if not catalogue.has_book(book):
            known = [item.code for item in catalogue.books]
            raise ConfigurationError(
                f"{path.name} numbers from the book {book!r}, which the office does not have; "
                f"{hint(book, known)}"
            )
        if catalogue.book(book).direction != definition.direction:
            raise ConfigurationError(
                f"{path.name} is for {definition.direction} documents, but its book {book!r} "
                f"is for {catalogue.book(book).direction} ones."
            )
    if not catalogue.has_calendar(definition.calendar):
        raise ConfigurationError(
            f"{path.name} counts in the calendar {definition.calendar!r}, which the office "
            "does not have."
        )
    if any(state.retain and state.retain.retention is None for state in definition.states.values()):
        lacking = [kind.code for kind in catalogue.types if catalogue.retention(kind.code) is None]
        if lacking:
            raise ConfigurationError(
                f"{path.name} keeps files as their type says (kind.retention), and the office file "
                f"says nothing for {', '.join(lacking[:5])}{' and more' if lacking[5:] else ''}; "
                "write `retention: 10y` at each, or once for all of them."
            )
