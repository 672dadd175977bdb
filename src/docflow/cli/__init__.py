"""Floor 9: the command line. `docflow --help` lists everything."""


def main() -> None:
    """Run the command line (the console script's entry)."""
    from docflow.cli.main import main as run

    run()
