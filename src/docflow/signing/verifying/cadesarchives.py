"""Archive time stamps inside a CAdES signature (ATSv3): what they prove, and of what.

Rules:
- Such a stamp is over what was signed, over the signer's part of the SignedData without its unsigned
  attributes, and over an index of digests: of certificates, of revocation data, and of the values of
  unsigned attributes. It proves those that the index names, and nothing else that is there: what was
  added later has to prove itself.
- It counts if it is good, if its index uses its own digest, and if everything that the index names is
  there. It is judged at the instant at which a later good one proves it, by what that one names, else now.
- One that a stamp of an earlier time names proves nothing.
- At most `MOST_STAMPS` of a signature are judged; with more, none is.

Source: ETSI EN 319 122-1, 5.5.2 (ats-hash-index-v3), 5.5.3 (archive-time-stamp-v3); EN 319 102-1, 5.6.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import algos, cms, core

from docflow.signing import judgement
from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    PASSED,
    Indication,
    SignatureReport,
    TimestampReport,
)
from docflow.signing.verifying import evidence
from docflow.signing.verifying.cmsparts import (
    Digest,
    digest_of_bytes,
    has_content,
    judge_timestamp,
)
from docflow.signing.verifying.terms import Terms

ARCHIVE_STAMP: Final = "0.4.0.1733.2.4"
HASH_INDEX: Final = "0.4.0.19122.1.5"
MOST_STAMPS: Final = 16
_BEFORE_UNSIGNED: Final = (
    "version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature",
)  # fmt: skip


class _Digests(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.OctetString


class HashIndex(core.Sequence):  # type: ignore[misc]
    """`ATSHashIndexV3`."""

    _fields = [  # noqa: RUF012 - as asn1crypto wants it
        ("hash_ind_algorithm", algos.DigestAlgorithm),
        ("certificates", _Digests),
        ("crls", _Digests),
        ("unsigned_attr_values", _Digests),
    ]


class _Values(core.SetOf):  # type: ignore[misc]
    _child_spec = core.Any


class _Attribute(core.Sequence):  # type: ignore[misc]
    _fields = [("type", core.ObjectIdentifier), ("values", _Values)]  # noqa: RUF012 - as above


class _Attributes(core.SetOf):  # type: ignore[misc]
    _child_spec = _Attribute


@dataclass(frozen=True, slots=True)
class Good:
    """A good archive time stamp: when, and what it proves to have existed then."""

    at: datetime
    proven: Callable[[], cms.SignedData]  # raises whatever a parser throws on a stranger's file


@dataclass(slots=True)
class _Stamp:
    """One archive time stamp: its token, the DER by which others index it, what its index names."""

    der: bytes
    token: cms.SignedData
    at: datetime
    algorithm: str
    index: bytes
    names: HashIndex
    report: SignatureReport | None = None


class Archives:
    """The archive time stamps of a signature, each judged once."""

    def __init__(self, signed: cms.SignedData, digest: Digest | None, terms: Terms) -> None:
        """Find and judge them.

        Args:
            signed: with exactly one signer.
            digest: of what is signed, if that is not inside.
            terms: the terms.
        """
        self._signed, self._terms = signed, terms
        self._inside = digest
        self._unread: list[TimestampReport] = []
        self._known: dict[str, dict[str, dict[bytes, bytes]]] = {}
        stamps = list(self._found())
        # the last first: a later one proves an earlier one
        self._stamps = sorted(stamps, key=lambda one: one.at)
        for position in reversed(range(len(self._stamps))):
            stamp = self._stamps[position]
            try:
                stamp.report = self._judged(position)
            except Exception as error:  # noqa: BLE001 - as below
                reason = f"It cannot be judged: {judgement.one_line(error)}."
                stamp.report = _refused(stamp, FAILED, "FORMAT_FAILURE", reason)

    def reports(self) -> tuple[TimestampReport, ...]:
        """Return what is told of each, in the order of their times."""
        return (
            *(_told(one.report) for one in self._stamps if one.report is not None),
            *self._unread,
        )

    def good(self) -> Iterator[Good]:
        """Yield the good ones, the earliest first."""
        for stamp in self._stamps:
            if _is_good(stamp):
                yield Good(stamp.at, functools.partial(self._reduced, stamp))

    def _found(self) -> Iterator[_Stamp]:
        values = [value for type_, value in self._values if type_ == _DER_OF_STAMP]
        if len(values) > MOST_STAMPS:
            self._tell(f"There are more than {MOST_STAMPS} archive time stamps; none is judged.")
            return
        for value in values:
            try:
                yield _stamp_of(value)
            except Exception as error:  # noqa: BLE001 - the parser throws anything on a stranger's file
                self._tell(f"An archive time stamp cannot be read: {judgement.one_line(error)}.")

    def _tell(self, reason: str) -> None:
        self._unread.append(
            TimestampReport(
                kind="document",
                at=None,
                authority=None,
                indication=FAILED,
                sub_indication="FORMAT_FAILURE",
                reasons=(reason,),
            )
        )

    def _judged(self, position: int) -> SignatureReport:
        stamp = self._stamps[position]
        if reason := self._misfit(stamp):
            return _refused(stamp, FAILED, "HASH_FAILURE", reason)
        # of one instant, the one that is named comes first
        if any(self._names(one, stamp) and one.at < stamp.at for one in self._stamps):
            reason = "An archive time stamp of an earlier time is over it."
            return _refused(stamp, INDETERMINATE, "TIMESTAMP_ORDER_FAILURE", reason)
        above = next(
            (
                one
                for one in self._stamps[position + 1 :]
                if _is_good(one) and self._names(one, stamp)
            ),
            None,
        )
        everything = evidence.of_cms(self._signed)
        if above is None:
            return self._at(stamp, None, everything)
        found = self._at(stamp, above.at, evidence.of_cms(self._reduced(above)))
        # what the later one does not name acquits nobody, but it still accuses
        other = self._at(stamp, above.at, everything)
        other = self._at(stamp, above.at, everything)
        return other if (other.sub_indication or "").startswith("REVOKED") else found

    def _at(self, stamp: _Stamp, at: datetime | None, known: evidence.Carried) -> SignatureReport:
        return judge_timestamp(
            stamp.token,
            functools.partial(self._imprint, stamp),
            self._terms,
            name="archive time stamp",
            covers=(),
            at=at,
            also=known,
        )

    def _misfit(self, stamp: _Stamp) -> str:
        """Return why the index is none of this signature, or nothing."""
        used = str(stamp.names["hash_ind_algorithm"]["algorithm"].native)
        if used != stamp.algorithm:
            return (
                f"Its index uses {used}, and the stamp {stamp.algorithm}; they have to be the same."
            )
        there = self._digests(used)
        for what, kind in _KINDS:
            gone = {one.native for one in stamp.names[kind]} - set(there[kind])
            if gone:
                return f"It names {len(gone)} {what} by digest that are not in the signature."
        return ""

    def _imprint(self, stamp: _Stamp, algorithm: str) -> bytes:
        """Return what the message imprint of a stamp has to be."""
        signer = self._signed["signer_infos"][0]
        content = self._signed["encap_content_info"]
        data = self._inside
        if has_content(self._signed):
            data = digest_of_bytes(bytes(content["content"]))
        if data is None:
            raise ValueError("what was signed is not here")
        parts = [content["content_type"].dump(), data(algorithm)]
        parts += [signer[name].dump() for name in _BEFORE_UNSIGNED]
        return digest_of_bytes(b"".join([*parts, stamp.index]))(algorithm)

    def _names(self, one: _Stamp, other: _Stamp) -> bool:
        """Tell whether the index of one names the other."""
        used = str(one.names["hash_ind_algorithm"]["algorithm"].native)
        wanted = digest_of_bytes(_DER_OF_STAMP + other.der)(used)
        return one is not other and wanted in {
            each.native for each in one.names["unsigned_attr_values"]
        }

    @functools.cached_property
    def _values(self) -> list[tuple[bytes, bytes]]:
        """The DER of type and of value, for each value of an unsigned attribute."""
        return [
            (attribute["type"].dump(), value.dump())
            for attribute in _attributes_of(self._signed["signer_infos"][0])
            for value in attribute["values"]
        ]

    def _digests(self, algorithm: str) -> dict[str, dict[bytes, bytes]]:
        """Return everything that an index may name, by kind and by digest."""
        if algorithm in self._known:
            return self._known[algorithm]
        things: dict[str, Iterable[bytes]] = {
            "certificates": (one.dump() for one in self._signed["certificates"] or ()),
            "crls": (one.dump() for one in self._signed["crls"] or ()),
            "unsigned_attr_values": (type_ + value for type_, value in self._values),
        }
        self._known[algorithm] = {
            kind: {digest_of_bytes(one)(algorithm): one for one in found}
            for kind, found in things.items()
        }
        return self._known[algorithm]

    def _reduced(self, stamp: _Stamp) -> cms.SignedData:
        """Return the SignedData with nothing in it that the index of a stamp does not name."""
        named = {kind: {one.native for one in stamp.names[kind]} for _, kind in _KINDS}
        there = self._digests(stamp.algorithm)
        kept = {
            kind: {der for digest, der in found.items() if digest in named[kind]}
            for kind, found in there.items()
        }
        signer = self._signed["signer_infos"][0]
        fields = {name: signer[name] for name in _BEFORE_UNSIGNED if signer[name]}
        attributes = [
            cms.CMSAttribute.load(attribute.dump())
            for attribute in _kept(_attributes_of(signer), kept["unsigned_attr_values"])
        ]
        if attributes:
            fields["unsigned_attrs"] = cms.CMSAttributes(attributes)
        whole = {
            name: self._signed[name]
            for name in ("version", "digest_algorithms", "encap_content_info")
        }
        for name, kind in (
            ("certificates", cms.CertificateSet),
            ("crls", cms.RevocationInfoChoices),
        ):
            if left := [one for one in self._signed[name] or () if one.dump() in kept[name]]:
                whole[name] = kind(left)
        whole["signer_infos"] = cms.SignerInfos([cms.SignerInfo(fields)])
        return cms.SignedData.load(cms.SignedData(whole).dump(), strict=True)


_DER_OF_STAMP: Final = core.ObjectIdentifier(ARCHIVE_STAMP).dump()
_DER_OF_INDEX: Final = core.ObjectIdentifier(HASH_INDEX).dump()
_KINDS: Final = (
    ("certificates", "certificates"),
    ("revocation data", "crls"),
    ("unsigned attributes", "unsigned_attr_values"),
)


def _attributes_of(signer: cms.SignerInfo) -> list[Any]:
    """Return the unsigned attributes as they are encoded, whatever is in them."""
    if not signer["unsigned_attrs"]:
        return []
    return list(_Attributes.load(signer["unsigned_attrs"].untag().dump(), strict=True))


def _kept(attributes: Iterable[Any], named: set[bytes]) -> Iterator[_Attribute]:
    """Yield the attributes with the values that are named; `named` has type and value in DER."""
    for attribute in attributes:
        type_ = attribute["type"].dump()
        if values := [one for one in attribute["values"] if type_ + one.dump() in named]:
            yield _Attribute({"type": attribute["type"].native, "values": _Values(values)})


def _stamp_of(der: bytes) -> _Stamp:
    """Read an archive time stamp.

    Raises:
        ValueError: if it is none.
    """
    whole = cms.ContentInfo.load(der, strict=True)
    if whole["content_type"].native != "signed_data":
        raise ValueError("it is no token")
    token = whole["content"]
    if token["encap_content_info"]["content_type"].native != "tst_info":
        raise ValueError("it is no token")
    (signer,) = token["signer_infos"]
    indexes = [
        value.dump()
        for attribute in _attributes_of(signer)
        if attribute["type"].dump() == _DER_OF_INDEX
        for value in attribute["values"]
    ]
    if len(indexes) != 1:
        raise ValueError(f"it has {len(indexes)} indexes of what it is over, and one is needed")
    info = token["encap_content_info"]["content"].parsed
    at = judgement.aware(info["gen_time"].native)
    if at is None:
        raise ValueError("it has no time")
    names = HashIndex.load(indexes[0], strict=True)
    _ = names.native  # asn1crypto reads what is inside when it is looked at, and complains then
    algorithm = str(info["message_imprint"]["hash_algorithm"]["algorithm"].native)
    return _Stamp(der, token, at, algorithm, indexes[0], names)


def _is_good(stamp: _Stamp) -> bool:
    return stamp.report is not None and stamp.report.indication == PASSED


def _refused(stamp: _Stamp, indication: Indication, name: str, reason: str) -> SignatureReport:
    return SignatureReport(
        field="archive time stamp",
        kind="timestamp",
        indication=indication,
        sub_indication=name,
        signed_at=stamp.at,
        reasons=(reason,),
    )


def _told(report: SignatureReport) -> TimestampReport:
    passed = report.indication == PASSED
    return TimestampReport(
        kind="document",
        at=report.signed_at,
        authority=report.subject,
        indication=report.indication,
        sub_indication=report.sub_indication,
        reasons=() if passed else report.reasons,
    )
