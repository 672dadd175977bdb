"""/v1/workflows: the procedures on file, as data, as a picture and as their YAML."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints

from docflow.api.context import CallerDep
from docflow.api.schemas.common import Name
from docflow.api.schemas.workflows import WorkflowOut, WorkflowSummary
from docflow.documents import workflow_views
from docflow.documents.shelf import Pinned
from docflow.workflow.svg import svg

router = APIRouter(prefix="/v1/workflows", tags=["workflows"])

Version = Annotated[
    int | None, Query(ge=1, le=1_000_000, description="A version on file; default: the newest.")
]
Language = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]{2,3}$"),
    Query(description="Language of the titles; English where there are none in it."),
]
# the picture styles itself, and nothing else may
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


def _text(media_type: str) -> dict[int | str, dict[str, Any]]:
    # no schema: it would be of what the text means, not of the text
    return {200: {"description": "The text.", "content": {media_type: {}}}}


def _digest(pinned: Pinned) -> str:
    return f'"{pinned.compiled.sha256}"'


@router.get("", response_model=list[WorkflowSummary], summary="List workflows")
def list_workflows(caller: CallerDep) -> list[WorkflowSummary]:
    """List the workflows on file, by name."""
    found = workflow_views.on_file(caller.services.desk, caller.actor)
    return [WorkflowSummary.of(item) for item in found]


@router.get("/{name}", response_model=WorkflowOut, summary="Read a workflow")
def get_workflow(
    name: Name, response: Response, caller: CallerDep, version: Version = None
) -> WorkflowOut:
    """Read one version of a workflow: its states, its transitions, who may fire them."""
    pinned = workflow_views.show(caller.services.desk, caller.actor, name, version)
    response.headers["ETag"] = _digest(pinned)
    return WorkflowOut.of(pinned)


@router.get(
    "/{name}/diagram.svg",
    response_class=Response,
    responses=_text("image/svg+xml"),
    summary="A workflow as a picture",
)
def get_diagram(
    name: Name, caller: CallerDep, version: Version = None, language: Language = "en"
) -> Response:
    """Draw one version of a workflow."""
    pinned = workflow_views.show(caller.services.desk, caller.actor, name, version)
    headers = {"Content-Security-Policy": _PICTURE_POLICY}
    picture = svg(pinned.compiled.definition, language)
    return Response(picture, headers=headers, media_type="image/svg+xml")


@router.get(
    "/{name}/source",
    response_class=Response,
    responses=_text("application/yaml"),
    summary="A workflow's YAML",
)
def get_source(name: Name, caller: CallerDep, version: Version = None) -> Response:
    """Read one version of a workflow as the YAML that documents are pinned to."""
    pinned = workflow_views.show(caller.services.desk, caller.actor, name, version)
    headers = {"ETag": _digest(pinned)}
    return Response(pinned.compiled.source, headers=headers, media_type="application/yaml")
