"""The manifests that docflow writes into containers: a signature or a token, and files with their digests.

Source: ETSI EN 319 162-1, A.4 (ASiCManifest) and A.7 (ASiCArchiveManifest).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

MIMETYPE = "mimetype"
MANIFEST = "META-INF/ASiCManifest001.xml"
SIGNATURE = "META-INF/signature001.p7s"
ARCHIVE = "META-INF/ASiCArchiveManifest.xml"
"""The newest archive manifest; the ones before it have a number (`earlier`)."""

MANIFEST_TYPE = "application/xml"
SIGNATURE_TYPE = "application/pkcs7-signature"
TOKEN_TYPE = "application/vnd.etsi.timestamp-token"  # noqa: S105 - a media type


@dataclass(frozen=True, slots=True)
class Reference:
    """A file that a manifest names: its name, what it is if that is known, and its SHA-256."""

    name: str
    media_type: str | None
    sha256: bytes


def token(number: int) -> str:
    """Return the name of the archive time stamp with this number, from 1."""
    return f"META-INF/timestamp{number:03}.tst"


def earlier(number: int) -> str:
    """Return the name that an archive manifest has once the next one was added."""
    return f"META-INF/ASiCArchiveManifest{number:03}.xml"


def manifest(signature: str, media_type: str, references: Sequence[Reference]) -> bytes:
    """Return a manifest.

    Args:
        signature: the name of the file that signs or stamps it.
        media_type: of that file.
        references: the files that it names.
    """
    named = "".join(
        f"  <asic:DataObjectReference URI={quoteattr(quote(one.name))}{_type_of(one)}>\n"
        '    <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>\n'
        f"    <ds:DigestValue>{base64.b64encode(one.sha256).decode()}</ds:DigestValue>\n"
        "  </asic:DataObjectReference>\n"
        for one in references
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">\n'
        f'  <asic:SigReference URI="{signature}" MimeType="{media_type}"/>\n'
        f"{named}</asic:ASiCManifest>\n"
    ).encode()


def _type_of(one: Reference) -> str:
    return f" MimeType={quoteattr(one.media_type)}" if one.media_type else ""
