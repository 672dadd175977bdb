"""What single updates of a file did: the fields made with the first, and evidence that came apart.

A certified file may gain fields later without any reader objecting. Whoever signs in such a field
signed something else than the form that the first person certified. And between two signatures an
update could do anything that the first one permits, unless it is looked at alone.

Source: ISO 32000-2, 12.8.2.2 (permissions of a certified file), 12.8.4.3 (DSS).
"""

from pathlib import Path

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import (
    ModificationLevel,
    SuspiciousModification,
)
from pyhanko.sign.fields import enumerate_sig_fields

from docflow.signing.verifying.terms import diff_policy

_CERTIFIED = 1  # the first update after the stamped file


def certified_fields(path: Path) -> tuple[str, ...]:
    """Return the names of the signature fields in the first update of a file, sorted.

    The file is one that validation has read already, with at least two updates.
    """
    with path.open("rb") as file:
        certified = PdfFileReader(file).get_historical_resolver(_CERTIFIED)
        return tuple(sorted(name for name, _, _ in enumerate_sig_fields(certified)))


def adds_evidence_only(path: Path, revision: int) -> bool:
    """Tell whether an update of a file, counted from 1, added data for validation and nothing else.

    The file is one that validation has read already, with at least that many updates.
    """
    with path.open("rb") as file:
        reader = PdfFileReader(file)
        before, after = map(reader.get_historical_resolver, (revision - 1, revision))
        try:
            found = diff_policy("signatures").apply(before, after)
        except SuspiciousModification:
            return False
    return bool(found.modification_level <= ModificationLevel.LTA_UPDATES)
