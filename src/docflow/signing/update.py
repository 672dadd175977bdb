"""One more update of a PDF: how signatures, evidence and time stamps are added to it.

Rules:
- What the file says of itself (title, producer, dates) stays as the person found it: an update that
  told its own producer in one place and kept the old one in another would end the file's being PDF/A.
- A field that is not seen has an appearance all the same, an empty one: PDF/A-1 wants one of every field.

Source: ISO 19005-1, 6.5.3 and 6.9 (appearances), 6.7.3 (information dictionary and XMP say the same);
ISO 19005-2, 5.1 (of ISO 32000-1).
"""

from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from docflow.signing.archival import Archival

_OF_PDF_2: Final = 4  # the first part of ISO 19005 that is
_EMPTY: Final = pdf_name("/DocflowEmpty")


class Update(IncrementalPdfFileWriter):
    """Adds to a file and leaves its descriptive metadata alone; make one with `update_of`."""

    def _update_meta(self) -> None:
        """Write no producer and no time; pyHanko would, from the machine's clock."""


class _Archival(Update):
    """The same for PDF/A up to part 3: these are of PDF 1.4 and 1.7, and do not become PDF 2.0."""

    output_version = (1, 4)

    def ensure_output_version(self, version: tuple[int, int]) -> None:
        """Leave the version as it is; the catalogue names the extensions that signatures need."""


def update_of(file: Any) -> Update:
    """Return what adds to the PDF in `file`, a seekable binary stream.

    Raises:
        PdfError: if it cannot be read.
    """
    reader = PdfFileReader(file)
    claim = Archival.of_reader(reader)
    kind = _Archival if claim is not None and claim.part < _OF_PDF_2 else Update
    return kind(file, prev=reader)


def add_field(writer: IncrementalPdfFileWriter, spec: SigFieldSpec) -> None:
    """Add an empty signature field, with an empty appearance if it is not seen.

    Raises:
        PdfWriteError: if there is a field of that name.
    """
    append_signature_field(writer, spec)
    form = writer.root["/AcroForm"]
    field = form["/Fields"][-1]
    empty = _empty_appearance(writer, form)
    if "/AP" not in field and empty is not None:
        appearance = _dictionary()
        appearance[pdf_name("/N")] = empty
        field[pdf_name("/AP")] = appearance


def _empty_appearance(writer: IncrementalPdfFileWriter, form: Any) -> Any:
    """Return the form's one empty appearance, made with its first field.

    A field of a later update refers to it: an appearance of its own would be a change that the seal
    forbids. None for a file that was signed without one.
    """
    drawings = form.get("/DR", {}).get("/XObject", {})
    if _EMPTY in drawings:
        return drawings.raw_get(_EMPTY)
    if writer.prev.embedded_signatures:
        return None
    empty = generic.StreamObject(stream_data=b"")
    empty[pdf_name("/Type")] = pdf_name("/XObject")
    empty[pdf_name("/Subtype")] = pdf_name("/Form")
    empty[pdf_name("/BBox")] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 1, 1)))
    made = writer.add_object(empty)
    resources = form.setdefault(pdf_name("/DR"), _dictionary())
    resources.setdefault(pdf_name("/XObject"), _dictionary())[_EMPTY] = made
    return made


def _dictionary() -> Any:
    return generic.DictionaryObject()  # type: ignore[no-untyped-call]
