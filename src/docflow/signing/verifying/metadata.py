"""What a later version of a PDF may say anew of itself: when it was changed, and by which program.

Whoever adds a signature or validation data writes that, and no reader shows it as the document's own.
Title, author, subject and all else are as they were when it was signed.

Source: ISO 32000-2, 14.3 (metadata); ISO 16684-1 (XMP).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from lxml import etree
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.reader import HistoricalResolver
from pyhanko.sign.diff_analysis import DocInfoRule, MetadataUpdateRule, SuspiciousModification
from pyhanko.sign.diff_analysis.rules_api import ReferenceUpdate

from docflow.signing.verifying.safexml import parse_xml

_INFO: Final = {"/ModDate", "/Producer"}
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP: Final = "{http://ns.adobe.com/xap/1.0/}"
_MANAGED: Final = "{http://ns.adobe.com/xap/1.0/mm/}"
_DATES: Final = {
    _XMP + "ModifyDate",
    _XMP + "MetadataDate",
    "{http://ns.adobe.com/pdf/1.3/}Producer",
}


class DescriptionRule(DocInfoRule):
    """Lets the information dictionary say another date and producer, and nothing else."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterable[ReferenceUpdate]:
        """Yield what may change.

        Raises:
            SuspiciousModification: if it says anything else anew.
        """
        before, after = _said(old), _said(new)
        if after is not None and before != after:
            raise SuspiciousModification(
                "the information dictionary says something else than before"
            )
        yield from super().apply(old, new)


class XmpRule(MetadataUpdateRule):
    """Lets the XMP packet say other dates, another producer and its own history, and nothing else."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterable[ReferenceUpdate]:
        """Yield what may change.

        Raises:
            SuspiciousModification: if it says anything else anew.
        """
        found = list(super().apply(old, new))
        if found and _properties(old) != _properties(new):
            raise SuspiciousModification("the XMP metadata say something else than before")
        yield from found


def _said(revision: HistoricalResolver) -> dict[str, str] | None:
    """Return what the information dictionary of a revision says beside what may change."""
    trailer = revision.trailer_view
    info = trailer.get("/Info", None)
    info = None if info is None else info.get_object()
    if not isinstance(info, generic.DictionaryObject):
        return None if info is None else {"": "no dictionary"}
    return {name: str(info[name]) for name in info if name not in _INFO}


def _properties(revision: HistoricalResolver) -> dict[str, list[bytes]]:
    """Return what the XMP packet of a revision says beside what may change, by property."""
    stream = revision.root.get("/Metadata", None)
    if stream is None:
        return {}
    try:
        root = parse_xml(stream.get_object().read_data(DecodePurpose.XMP_METADATA))
    except ValueError as error:
        raise SuspiciousModification(f"the XMP metadata cannot be read: {error}") from error
    found: dict[str, list[bytes]] = {}
    for name, value in _each(root):
        if name not in _DATES and not name.startswith(_MANAGED):
            found.setdefault(name, []).append(value)
    return {name: sorted(values) for name, values in found.items()}


def _each(root: etree._Element) -> Iterator[tuple[str, bytes]]:
    """Yield name and value of each property; one as an attribute is one as an element."""
    if root.find(f".//{_RDF}RDF") is None:
        yield "", etree.tostring(root, method="c14n", exclusive=True)
    for description in root.iterfind(f".//{_RDF}RDF/{_RDF}Description"):
        for name, value in description.attrib.items():
            if name != _RDF + "about":
                yield str(name), str(value).strip().encode()
        for element in description:
            yield str(element.tag), _value(element)


def _value(element: Any) -> bytes:
    if not len(element) and not element.attrib:
        return (element.text or "").strip().encode()
    for one in element.iter():
        if len(one) and not (one.text or "").strip():
            one.text = None
        if one is element or not (one.tail or "").strip():
            one.tail = None
    return bytes(etree.tostring(element, method="c14n", exclusive=True))
