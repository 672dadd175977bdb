"""Trust anchors from files: certificates (PEM or DER) and trusted lists (the EU's and others').

Rules:
- A trusted list counts if a scheme operator that is configured signed it. Without that it is refused,
  unless the settings say in so many words that whoever puts a list there vouches for it; then every
  report says so.
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
from typing import Literal

from cryptography import x509
from lxml import etree

from docflow.kernel.clock import parse_rfc3339
from docflow.kernel.errors import ConfigurationError
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.listsignature import (
    ROOT,
    TSL,
    NotSignedByOperatorError,
    signed_list,
)
from docflow.signing.verifying.safexml import parse_xml

MAX_LIST_BYTES = 64 << 20
Unsigned = Literal["refuse", "accept"]
_SUFFIXES = frozenset({".pem", ".crt", ".cer", ".der", ".xml"})
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
class ListRules:
    """Whose trusted lists count.

    Attributes:
        operators: certificates of the scheme operators who sign lists.
        unsigned: what becomes of a list that none of them signed.
    """

    operators: TrustRoots = field(default_factory=lambda: TrustRoots(()))
    unsigned: Unsigned = "refuse"

    @classmethod
    def of(cls, signers: Iterable[Path], unsigned: Unsigned) -> "ListRules":
        """Read the scheme operators' certificates from PEM files.

        Raises:
            ConfigurationError: naming the file that is missing or holds no certificate.
        """
        try:
            return cls(TrustRoots.from_files(signers), unsigned)
        except ConfigurationError as error:
            raise ConfigurationError(f"DOCFLOW_TRUST_LIST_SIGNERS: {error}") from error


@dataclass(frozen=True, slots=True)
class TrustedList:
    """What one list says.

    Attributes:
        authorities: certificates of granted certification authorities.
        stamping: certificates of granted time-stamp authorities.
        next_update: until when the list is meant to be used; None if it does not say.
        checked: whether a configured scheme operator signed it.
    """

    authorities: tuple[x509.Certificate, ...]
    stamping: tuple[x509.Certificate, ...]
    next_update: datetime | None
    checked: bool


@dataclass(frozen=True, slots=True)
class Anchors:
    """Trust anchors, and what is to be said of the lists that they come from.

    Attributes:
        roots: trusted for everything.
        stamping: trusted for timestamps alone.
        lists: file name → until when it is meant to be used.
        unchecked: names of the files that no configured scheme operator signed.
        named: those of `roots` that files of certificates name, and no list.
    """

    roots: TrustRoots
    stamping: TrustRoots
    lists: tuple[tuple[str, datetime], ...] = ()
    unchecked: tuple[str, ...] = ()
    named: TrustRoots = field(default_factory=lambda: TrustRoots(()))

    def doubts(self, now: datetime) -> list[str]:
        """Return a sentence for each list that should have been replaced, or was not checked."""
        unchecked = [
            f"The signature of the trusted list {name} was not checked: the settings accept it so."
            for name in self.unchecked
        ]
        return unchecked + [
            f"The trusted list {name} was to be replaced by {until.date().isoformat()}."
            for name, until in self.lists
            if until < now
        ]


def load_anchors(paths: Iterable[Path], rules: ListRules | None = None) -> Anchors:
    """Read certificates and trusted lists; a folder stands for the files of those kinds in it.

    Args:
        paths: files and folders.
        rules: whose lists count; nobody's by default.

    Raises:
        ConfigurationError: naming the file that is missing, is neither, or does not count, or the folder
            that holds none.
    """
    rules = rules or ListRules()
    roots = TrustRoots(())
    stamping: list[x509.Certificate] = []
    authorities: list[x509.Certificate] = []
    lists: list[tuple[str, datetime]] = []
    unchecked: list[str] = []
    for path in _files(paths):
        if path.suffix.lower() == ".xml":
            found = _list(path, rules)
            authorities += found.authorities
            stamping += found.stamping
            if found.next_update is not None:
                lists.append((path.name, found.next_update))
            if not found.checked:
                unchecked.append(path.name)
        else:
            roots += TrustRoots.from_files([path])
    return Anchors(
        roots + TrustRoots(tuple(authorities)),
        TrustRoots(tuple(dict.fromkeys(stamping))),
        tuple(lists),
        tuple(unchecked),
        roots,
    )


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _in_folder(path)
        else:
            found.append(path)
    return found


def _in_folder(folder: Path) -> list[Path]:
    try:
        found = sorted(one for one in folder.iterdir() if one.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of trust anchors {folder} cannot be read ({error.strerror})."
        ) from error
    if not found:
        raise ConfigurationError(
            f"The folder of trust anchors {folder} holds none: put certificates (.pem, .crt, .cer, .der) "
            "or trusted lists (.xml) there."
        )
    return found


def _list(path: Path, rules: ListRules) -> TrustedList:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ValueError(f"it has more than {MAX_LIST_BYTES} bytes")
        return read_list(path.read_bytes(), rules)
    except NotSignedByOperatorError as error:
        raise ConfigurationError(
            f"The trusted list {path} is refused: {error}. Put the certificate of its scheme operator "
            "(PEM) into the file that DOCFLOW_TRUST_LIST_SIGNERS names (--list-signer); or, to vouch "
            "for the list yourself, set DOCFLOW_TRUST_LISTS_UNSIGNED=accept (--unsigned-lists)."
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The file {path} cannot be read as a trusted list (ETSI TS 119 612): {error}."
        ) from error


def read_list(content: bytes, rules: ListRules) -> TrustedList:
    """Read a trusted list.

    Raises:
        NotSignedByOperatorError: if no configured scheme operator signed it, and that is demanded.
        ValueError: if it is none, its signature is broken, it names other lists instead of services,
            or no anchor is in it.
    """
    root = parse_xml(content, limit=MAX_LIST_BYTES)
    _check_kind(root)
    checked = True
    try:
        root = signed_list(content, rules.operators.certificates, MAX_LIST_BYTES)
    except NotSignedByOperatorError:
        if rules.unsigned == "refuse":
            raise
        checked = False
    authorities, stamping = _services(root)
    if not authorities and not stamping:
        raise ValueError("no authority in it is granted")
    until = root.findtext(f"{TSL}SchemeInformation/{TSL}NextUpdate/{TSL}dateTime")
    next_update = parse_rfc3339(until.strip()) if until else None
    return TrustedList(tuple(authorities), tuple(stamping), next_update, checked)


def _check_kind(root: etree._Element) -> None:
    """Refuse what is no list of services, before anybody is asked for its signer."""
    if root.tag != ROOT:
        raise ValueError("its root is not a TrustServiceStatusList")
    if root.findtext(f"{TSL}SchemeInformation/{TSL}TSLType") == _LOTL:
        raise ValueError(
            "it is the list of lists, which names no authority; give a country's own list"
        )


def _services(
    root: etree._Element,
) -> tuple[dict[x509.Certificate, None], dict[x509.Certificate, None]]:
    """Return the certificates of granted authorities, and of granted time-stamp authorities."""
    authorities: dict[x509.Certificate, None] = {}
    stamping: dict[x509.Certificate, None] = {}
    for service in root.iter(f"{TSL}ServiceInformation"):
        kind = (service.findtext(f"{TSL}ServiceTypeIdentifier") or "").strip()
        status = (service.findtext(f"{TSL}ServiceStatus") or "").strip()
        into = authorities if kind in _AUTHORITIES else stamping if kind in _STAMPING else None
        if into is not None and status in _GRANTED:
            into.update(dict.fromkeys(_certificates(service)))
    return authorities, stamping


def _certificates(service: etree._Element) -> Iterable[x509.Certificate]:
    place = f"{TSL}ServiceDigitalIdentity/{TSL}DigitalId/{TSL}X509Certificate"
    for one in service.findall(place):
        try:
            der = base64.b64decode("".join((one.text or "").split()), validate=True)
            yield x509.load_der_x509_certificate(der)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"a certificate in it cannot be read: {error}") from error
