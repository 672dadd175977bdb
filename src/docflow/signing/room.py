"""Which signature fields a file had when it was certified: those that docflow made room with.

A certified file may gain fields later without any reader objecting. Whoever signs in such a field
signed something else than the form that the first person certified.

Source: ISO 32000-2, 12.8.2.2 (permissions of a certified file).
"""

from pathlib import Path

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields

_CERTIFIED = 1  # the first update after the stamped file


def certified_fields(path: Path) -> tuple[str, ...]:
    """Return the names of the signature fields in the first update of a file, sorted.

    The file is one that validation has read already, with at least two updates.
    """
    with path.open("rb") as file:
        certified = PdfFileReader(file).get_historical_resolver(_CERTIFIED)
        return tuple(sorted(name for name, _, _ in enumerate_sig_fields(certified)))
