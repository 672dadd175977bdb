"""Whether what goes on the pages with the first personal signature fits there; nothing is drawn."""

from pathlib import Path
from typing import BinaryIO

import pikepdf
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from docflow.kernel.errors import DocflowError
from docflow.signing.appearance import Looks, spots
from docflow.signing.font import Fonts
from docflow.signing.plan import StampPlan
from docflow.signing.stamp import check_stamp

_BROKEN = (pikepdf.PdfError, PdfError, KeyError, TypeError, ValueError)


def check_fit(source: Path | BinaryIO, plan: StampPlan, looks: Looks | None, fonts: Fonts) -> None:
    """Refuse what `stamp` and `sign_person` would refuse of this file for want of room.

    Whatever else is wrong with the file is left to them.

    Raises:
        InvalidInputError: code `stamp-anchor`, `stamp-overlap` or `stamp-text`.
    """
    try:
        check_stamp(source, plan, fonts)
        if looks is not None:
            _check_spots(source, looks)
    except DocflowError:
        raise
    except _BROKEN:
        return


def _check_spots(source: Path | BinaryIO, looks: Looks) -> None:
    if isinstance(source, Path):
        with source.open("rb") as file:
            spots(PdfFileReader(file, strict=False), looks)
        return
    source.seek(0)
    spots(PdfFileReader(source, strict=False), looks)
