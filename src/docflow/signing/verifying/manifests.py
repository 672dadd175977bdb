"""The manifests of a container: which file signs or stamps them, and which files they name.

Source: ETSI EN 319 162-1, 4.4.4 (ASiCManifest) and A.7 (ASiCArchiveManifest).
"""

import binascii
import re
from dataclasses import dataclass

from docflow.signing.verifying.covered import DataObject, target
from docflow.signing.verifying.safexml import parse_xml
from docflow.signing.verifying.xmldsig import DIGESTS

MAX_OBJECTS = 1_000
MANIFEST_NAME = re.compile(r"META-INF/[^/]*ASiC(Archive)?Manifest[^/]*\.xml", re.IGNORECASE)
TOKEN_NAME = re.compile(r"META-INF/[^/]*timestamp[^/]*\.tst", re.IGNORECASE)
_ARCHIVE = re.compile(r"META-INF/[^/]*ASiCArchiveManifest[^/]*\.xml", re.IGNORECASE)
_NAMESPACE = "http://uri.etsi.org/02918/v1.2.1#"
_DSIG = "http://www.w3.org/2000/09/xmldsig#"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest: which signature or timestamp it belongs to, and the files that it names."""

    name: str
    content: bytes
    signature: str
    objects: tuple[DataObject, ...]

    @property
    def archives(self) -> bool:
        """Tell whether a time-stamp token makes it an archive time stamp."""
        return bool(_ARCHIVE.fullmatch(self.name) and TOKEN_NAME.fullmatch(self.signature))

    @property
    def covers(self) -> tuple[str, ...]:
        """The names of the files that it names."""
        return tuple(one.name for one in self.objects)


def read_manifest(name: str, content: bytes) -> Manifest:
    """Read an ASiCManifest.

    Raises:
        ValueError: if it is none.
    """
    root = parse_xml(content)
    if root.tag != f"{{{_NAMESPACE}}}ASiCManifest":
        raise ValueError(f"{name!r} is not an ASiCManifest")
    references = root.findall(f"{{{_NAMESPACE}}}SigReference")
    if len(references) != 1:
        raise ValueError(f"{name!r} names {len(references)} signatures, and must name one")
    found = root.findall(f"{{{_NAMESPACE}}}DataObjectReference")
    if not 0 < len(found) <= MAX_OBJECTS:
        raise ValueError(f"{name!r} names {len(found)} files, and must name 1 to {MAX_OBJECTS}")
    objects = []
    for one in found:
        method = one.find(f"{{{_DSIG}}}DigestMethod")
        value = one.findtext(f"{{{_DSIG}}}DigestValue") or ""
        algorithm = DIGESTS.get(method.get("Algorithm", "")) if method is not None else None
        if algorithm is None:
            raise ValueError(f"{name!r} uses a digest that is not known")
        objects.append(DataObject(target(one.get("URI", "")), algorithm, _base64(value)))
    if len({one.name for one in objects}) != len(objects):
        raise ValueError(f"{name!r} names a file twice")
    return Manifest(name, content, target(references[0].get("URI", "")), tuple(objects))


def _base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except binascii.Error as error:
        raise ValueError("a digest is not base64") from error
