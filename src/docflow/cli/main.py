"""The commands, and how their errors are shown: one sentence, the next step, a status.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Heavy rooms are imported only by the commands
that need them, so that `docflow --help` is quick.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from docflow import __version__
from docflow.cli import audit, card, instance, jobs, keys, signatures, storage, verify, workflow
from docflow.cli.dev import dev
from docflow.cli.open import open_file
from docflow.cli.output import announce_development, fail
from docflow.kernel.errors import DocflowError

app = typer.Typer(
    help="docflow: every document numbered, routed, approved, signed before it leaves, provable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(workflow.app, name="workflow")
app.add_typer(audit.app, name="audit")
app.add_typer(jobs.app, name="jobs")
app.add_typer(signatures.app, name="signatures")
app.add_typer(storage.app, name="storage")
app.add_typer(keys.keys_app(keys.open_instance), name="keys")
app.command("init")(instance.init)
app.command("migrate")(instance.migrate)
app.command("serve")(instance.serve)
app.command("dev")(dev)
app.command("worker")(instance.worker)
app.command("verify")(verify.verify)
app.command("open")(open_file)
app.command("sign-session")(card.sign_session)
app.command("prove-certificate")(card.prove_certificate)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"docflow {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that come before a command."""
    announce_development()


@app.command()
def openapi(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.")] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Compare with this file instead.")
    ] = None,
) -> None:
    """Print the OpenAPI document, write it, or check that a committed one is up to date."""
    from docflow.cli.openapi import document_text

    text = document_text()
    if check is not None:
        if not check.exists():
            fail(f"There is no file {check}; `docflow openapi --out {check}` writes it.")
        if check.read_text("utf-8") != text:
            fail(f"{check} is not what the code says; run `docflow openapi --out {check}`.")
        print(f"{check} is up to date.")
    elif out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8")
        print(f"wrote {out}")
    else:
        print(text, end="")


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="The instance to prepare and play in; overrides DOCFLOW_DATA_DIR (default: var).",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Loopback port; 0 takes a free one.")] = 0,
) -> None:
    """Play the two procedures through the public API of a real service, step by step."""
    from docflow.cli.demo import play

    play(folder, port)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except DocflowError as error:
        hint = f" {error.satisfied_by}" if error.satisfied_by else ""
        fail(error.detail + hint)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            raise  # not about a file that someone could mend
        fail(f"{error.filename} cannot be used ({error.strerror}).")
