"""What front ends show of workflows: which are on file, and what one version says.

Every version that a document was ever pinned to stays on file, also after its YAML is gone.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from docflow.db import all_rows
from docflow.documents.catalogue import hint
from docflow.documents.desk import Desk
from docflow.documents.shelf import Pinned
from docflow.documents.tables import workflows
from docflow.kernel.actor import Actor
from docflow.kernel.errors import NotFoundError
from docflow.people import access


@dataclass(frozen=True, slots=True)
class OnFile:
    """One workflow: its newest version, every version on file, and whether new documents get it."""

    newest: Pinned
    versions: tuple[int, ...]
    offered: bool


def on_file(desk: Desk, actor: Actor) -> list[OnFile]:
    """Return every workflow on file, by name.

    Raises:
        ForbiddenError: if the actor may not read the office's lists.
    """
    access.require(actor, access.Permission.DIRECTORY_READ)
    ids = _ids(desk, None)
    offered = {pinned.name for pinned in desk.shelf.newest()}
    return [
        OnFile(desk.shelf.get(versions[max(versions)]), tuple(sorted(versions)), name in offered)
        for name, versions in sorted(ids.items())
    ]


def show(desk: Desk, actor: Actor, name: str, version: int | None) -> Pinned:
    """Return one version of a workflow, the newest if none is named.

    Raises:
        ForbiddenError: if the actor may not read the office's lists.
        NotFoundError: if it is not on file (code `workflow-not-found`).
    """
    access.require(actor, access.Permission.DIRECTORY_READ)
    versions = _ids(desk, name).get(name, {})
    if not versions:
        raise NotFoundError(
            f"There is no workflow {name!r}; {hint(name, sorted(_ids(desk, None)))}",
            code="workflow-not-found",
        )
    wanted = max(versions) if version is None else version
    if wanted not in versions:
        known = ", ".join(str(number) for number in sorted(versions))
        raise NotFoundError(
            f"The workflow {name!r} has no version {wanted} on file; it has {known}.",
            code="workflow-not-found",
        )
    return desk.shelf.get(versions[wanted])


def _ids(desk: Desk, name: str | None) -> dict[str, dict[int, str]]:
    """Return name → version → id; a table of a few rows, that grows with the procedures."""
    statement = sa.select(workflows.c.id, workflows.c.name, workflows.c.workflow_version)
    if name is not None:
        statement = statement.where(workflows.c.name == name)
    found: dict[str, dict[int, str]] = {}
    with desk.database.read() as connection:
        for row in all_rows(connection, statement):
            found.setdefault(row["name"], {})[row["workflow_version"]] = row["id"]
    return found
