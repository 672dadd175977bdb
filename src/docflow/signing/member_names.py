"""Names that files have in a container: what their senders called them, as all systems can unpack it.

Pure. The answer depends on the given names alone; no name comes twice, whatever the case of its letters.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from docflow.signing.detached import BAD_CHARS, MAX_NAME_CHARS, RESERVED

_MAX_SUFFIX_CHARS = 16
_MARGIN_CHARS = 16  # for a number, and for the signature file's own ending


def member_names(names: Sequence[str], *, beside: str) -> list[str]:
    """Return a name for each file, all different, also with `beside` behind them.

    Args:
        names: what the files are called, in order.
        beside: the ending of a signature file that may lie beside each.
    """
    taken = set(RESERVED)
    found = []
    for name in names:
        stem, suffix = _parts(name)
        number = 1
        chosen = stem + suffix
        while {chosen.casefold(), (chosen + beside).casefold()} & taken:
            number += 1
            chosen = f"{stem} ({number}){suffix}"
        taken |= {chosen.casefold(), (chosen + beside).casefold()}
        found.append(chosen)
    return found


def _parts(name: str) -> tuple[str, str]:
    plain = BAD_CHARS.sub("_", name).strip(". ")
    suffix = PurePosixPath(plain).suffix
    if len(suffix) > _MAX_SUFFIX_CHARS:
        suffix = ""
    stem = plain.removesuffix(suffix).strip(". ") or "file"
    return stem[: MAX_NAME_CHARS - _MAX_SUFFIX_CHARS - _MARGIN_CHARS].strip(". "), suffix
