"""XML that a stranger wrote: no document type, no entities, nothing fetched, bounded size and depth.

An XML bomb needs a document type declaration; there is none in what is parsed here.
"""

from typing import NoReturn

from lxml import etree

MAX_XML_BYTES = 1 << 20


def parse_xml(
    data: bytes, *, limit: int = MAX_XML_BYTES, refuse_instructions: bool = False
) -> etree._Element:
    """Return the root element, without comments and processing instructions.

    Args:
        data: the XML.
        limit: the most bytes that are read.
        refuse_instructions: where a signature covers the XML, processing instructions are part of
            what was signed, and cannot be left out silently as comments can.

    Raises:
        ValueError: if it is too large, declares a document type, is not well-formed, or has
            processing instructions that are refused.
    """
    if len(data) > limit:
        _refuse(f"the XML has {len(data)} bytes, and at most {limit} are read")
    try:
        root = etree.fromstring(data, hardened_parser(remove_pis=not refuse_instructions))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ValueError(f"the XML is not well-formed: {str(error)[:200]}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        _refuse("the XML declares a document type, which is not accepted")
    if refuse_instructions and next(root.iter(etree.ProcessingInstruction), None) is not None:
        _refuse("the XML holds processing instructions, which are not accepted")
    return root


def hardened_parser(*, remove_pis: bool = True) -> etree.XMLParser:
    """Return a parser that resolves no entity, loads and fetches nothing, and bounds the depth."""
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=remove_pis,
    )


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
