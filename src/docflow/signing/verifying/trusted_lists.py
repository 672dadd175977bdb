"""Trust anchors from files: PEM certificates and trusted lists (the EU's and others').

Rules:
- A trusted list is trusted because the operator put it there: its own XML signature is not checked.
- Services that are granted now become anchors: authorities for all, time-stamp authorities for
  timestamps alone. Everything else in the list does nothing.
- The list of lists (LOTL) names lists and no authorities: it is refused, with a sentence.

Source: ETSI TS 119 612 v2 (trusted lists), TS 119 615.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from lxml import etree

from docflow.kernel.clock import parse_rfc3339
from docflow.kernel.errors import ConfigurationError
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.safexml import parse_xml

MAX_LIST_BYTES = 64 << 20
_TSL = "{http://uri.etsi.org/02231/v2#}"
_TYPES = "http://uri.etsi.org/TrstSvc/Svctype/"
_AUTHORITIES = {_TYPES + "CA/QC", _TYPES + "CA/PKC"}
_STAMPING = {
    _TYPES + "TSA",
    _TYPES + "TSA/QTST",
    _TYPES + "TSA/TSS-QC",
    _TYPES + "TSA/TSS-AdESQCandQES",
}
_STATUS = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"
_GRANTED = {
    _STATUS + "granted",
    _STATUS + "recognisedatnationallevel",
    _STATUS + "undersupervision",
    _STATUS + "accredited",
}
_LOTL = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists"


@dataclass(frozen=True, slots=True)
class TrustedList:
    """What one list says.

    Attributes:
        authorities: certificates of granted certification authorities.
        stamping: certificates of granted time-stamp authorities.
        next_update: until when the list is meant to be used; None if it does not say.
    """

    authorities: tuple[x509.Certificate, ...]
    stamping: tuple[x509.Certificate, ...]
    next_update: datetime | None


@dataclass(frozen=True, slots=True)
class Anchors:
    """Trust anchors, and which of the lists they come from are out of date.

    Attributes:
        roots: trusted for everything.
        stamping: trusted for timestamps alone.
        lists: file name → until when it is meant to be used.
        named: those of `roots` that PEM files name, and no list.
    """

    roots: TrustRoots
    stamping: TrustRoots
    lists: tuple[tuple[str, datetime], ...] = ()
    named: TrustRoots = field(default_factory=lambda: TrustRoots(()))

    def stale(self, now: datetime) -> list[str]:
        """Return a sentence for each list that should have been replaced by now."""
        return [
            f"The trusted list {name} was to be replaced by {until.date().isoformat()}."
            for name, until in self.lists
            if until < now
        ]


def load_anchors(paths: Iterable[Path]) -> Anchors:
    """Read PEM files and trusted lists; a folder stands for the files in it.

    Raises:
        ConfigurationError: naming the file that is missing, or is neither.
    """
    roots = TrustRoots(())
    stamping: list[x509.Certificate] = []
    authorities: list[x509.Certificate] = []
    lists: list[tuple[str, datetime]] = []
    for path in _files(paths):
        if path.suffix.lower() == ".xml":
            found = _list(path)
            authorities += found.authorities
            stamping += found.stamping
            if found.next_update is not None:
                lists.append((path.name, found.next_update))
        else:
            roots += TrustRoots.from_files([path])
    return Anchors(
        roots + TrustRoots(tuple(authorities)),
        TrustRoots(tuple(dict.fromkeys(stamping))),
        tuple(lists),
        roots,
    )


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                one for one in path.iterdir() if one.suffix.lower() in {".pem", ".crt", ".xml"}
            )
        else:
            found.append(path)
    return found


def _list(path: Path) -> TrustedList:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ValueError(f"it has more than {MAX_LIST_BYTES} bytes")
        return read_list(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The file {path} cannot be read as a trusted list (ETSI TS 119 612): {error}."
        ) from error


def read_list(content: bytes) -> TrustedList:
    """Read a trusted list.

    Raises:
        ValueError: if it is none, names other lists instead of services, or no anchor is in it.
    """
    root = parse_xml(content, limit=MAX_LIST_BYTES)
    if root.tag != f"{_TSL}TrustServiceStatusList":
        raise ValueError("its root is not a TrustServiceStatusList")
    if root.findtext(f"{_TSL}SchemeInformation/{_TSL}TSLType") == _LOTL:
        raise ValueError(
            "it is the list of lists, which names no authority; give a country's own list"
        )
    authorities: dict[x509.Certificate, None] = {}
    stamping: dict[x509.Certificate, None] = {}
    for service in root.iter(f"{_TSL}ServiceInformation"):
        kind = (service.findtext(f"{_TSL}ServiceTypeIdentifier") or "").strip()
        status = (service.findtext(f"{_TSL}ServiceStatus") or "").strip()
        into = authorities if kind in _AUTHORITIES else stamping if kind in _STAMPING else None
        if into is not None and status in _GRANTED:
            into.update(dict.fromkeys(_certificates(service)))
    if not authorities and not stamping:
        raise ValueError("no authority in it is granted")
    until = root.findtext(f"{_TSL}SchemeInformation/{_TSL}NextUpdate/{_TSL}dateTime")
    return TrustedList(
        tuple(authorities), tuple(stamping), parse_rfc3339(until.strip()) if until else None
    )


def _certificates(service: etree._Element) -> Iterable[x509.Certificate]:
    place = f"{_TSL}ServiceDigitalIdentity/{_TSL}DigitalId/{_TSL}X509Certificate"
    for one in service.findall(place):
        try:
            der = base64.b64decode("".join((one.text or "").split()), validate=True)
            yield x509.load_der_x509_certificate(der)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"a certificate in it cannot be read: {error}") from error
