"""Where the files that ship with docflow are: inside the wheel, or beside the source tree."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled(name: str) -> Path:
    """Return the path of a bundled file or folder (`migrations`, `workflows`, `fonts`).

    A built wheel carries them under `docflow/_bundled/`; a source checkout has them at its top.

    Raises:
        FileNotFoundError: if neither place has it; the installation is incomplete.
    """
    for candidate in (_PACKAGE / "_bundled" / name, _PACKAGE.parent.parent / name):
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"docflow was installed without its bundled {name!r}")
