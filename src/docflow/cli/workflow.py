"""`docflow workflow`: check, show and describe workflow files, without a service or a database.

Exit codes: 0 all is well, 1 a file has problems, 2 the command line is wrong (as typer does).
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check and show workflow files.", no_args_is_help=True, add_completion=False)


class Format(StrEnum):
    """What `show` can write."""

    MERMAID = "mermaid"
    SVG = "svg"


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Workflow files, or folders of them.")],
) -> None:
    """Check files: shape, names, and what must hold on every path."""
    from docflow.workflow import WorkflowFileError, load

    failed = False
    for path in _files(files):
        try:
            compiled = load(path)
        except WorkflowFileError as error:
            failed = True
            for problem in error.problems:
                typer.echo(str(problem))
            continue
        definition = compiled.definition
        typer.echo(
            f"{path}: {compiled.name} version {compiled.version}: {len(definition.states)} states, "
            f"{len(definition.transitions)} transitions, sound (sha256 {compiled.sha256[:16]})"
        )
    raise typer.Exit(1 if failed else 0)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A workflow file.")],
    form: Annotated[
        Format, typer.Option("--format", "-f", help="Text for Mermaid, or a picture.")
    ] = Format.MERMAID,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; the terminal if absent.")
    ] = None,
    language: Annotated[
        str, typer.Option("--language", "-l", help="Language of the titles, as en or vi.")
    ] = "en",
) -> None:
    """Draw a workflow: who moves a document from where to where."""
    from docflow.workflow import WorkflowFileError, load
    from docflow.workflow.mermaid import mermaid
    from docflow.workflow.svg import svg

    try:
        definition = load(file).definition
    except WorkflowFileError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(1) from error
    _write(
        svg(definition, language) if form is Format.SVG else mermaid(definition, language), output
    )


@app.command()
def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; the terminal if absent.")
    ] = None,
) -> None:
    """Print the JSON Schema of the language, by which editors complete and check files."""
    from docflow.workflow.schema import json_schema_text

    _write(json_schema_text(), output)


def _files(named: list[Path]) -> list[Path]:
    """Return the files named, with every `*.yaml` of a folder in its place."""
    found: list[Path] = []
    for path in named:
        found.extend(sorted(path.glob("*.yaml")) if path.is_dir() else [path])
    if not found:
        typer.echo("no workflow files (*.yaml) there", err=True)
        raise typer.Exit(1)
    return found


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{output} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"wrote {output}", err=True)
