"""On what terms a file is judged: whom to trust, at which instant, and how strictly."""

import functools
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from pyhanko.sign.diff_analysis import (
    DEFAULT_DIFF_POLICY,
    NO_CHANGES_DIFF_POLICY,
    CatalogModificationRule,
    DiffPolicy,
    DSSCompareRule,
    FormUpdatingRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    XrefStreamRule,
)

from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.additions import AdditionsRule
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.metadata import DescriptionRule, XmpRule
from docflow.signing.verifying.questions import Fetched, Wanted

Changes = Literal["none", "signatures", "permitted"]
Revocation = Literal["if-present", "required"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How strictly a file is judged.

    Attributes:
        changes: what may follow a signature in a PDF: `none`, further `signatures` (with timestamps
            and validation data; the default), or whatever the signer `permitted`.
        revocation: whether a certificate of which it is not known whether it was revoked is accepted.
        timestamp_roots: anchors that are trusted for timestamps alone.
        algorithms: the dated policy on algorithms.
    """

    changes: Changes = "signatures"
    revocation: Revocation = "if-present"
    timestamp_roots: TrustRoots = field(default_factory=lambda: TrustRoots(()))
    algorithms: AlgorithmPolicy = field(default_factory=shipped_policy)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for another process."""
        return {
            "changes": self.changes,
            "revocation": self.revocation,
            "timestamp_roots": self.timestamp_roots.to_pem(),
            "algorithms": self.algorithms.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Policy":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: if a word is not one of those it may be.
        """
        for name, words in (("changes", Changes), ("revocation", Revocation)):
            if data[name] not in get_args(words):
                raise ValueError(f"{name} cannot be {data[name]!r}")
        return cls(
            data["changes"],
            data["revocation"],
            TrustRoots.from_pem(data["timestamp_roots"]),
            AlgorithmPolicy.from_data(data["algorithms"]),
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """Whom to trust, when, and how strictly; `own_roots` are among `roots`.

    `fetched` is what was answered about revocation, beside what a file carries; `wanted` collects what
    could be asked, if anybody will.
    """

    roots: TrustRoots
    own_roots: TrustRoots
    now: datetime
    policy: Policy
    fetched: Fetched = field(default_factory=Fetched)
    wanted: Wanted | None = None

    @property
    def diff_policy(self) -> DiffPolicy:
        """The rules on what may follow a signature in a PDF."""
        return diff_policy(self.policy.changes)


@functools.cache
def diff_policy(changes: Changes) -> DiffPolicy:
    """Return pyHanko's rules for what may follow a signature.

    `signatures` admits new signature fields, signatures, timestamps and validation data, with what
    goes with them in catalogue and metadata (dates, producer); no other field may be filled, no
    annotation added, and no visible field after a certification. However much the signer permits,
    what is added is no more than `additions` names.
    """
    if changes == "none":
        return NO_CHANGES_DIFF_POLICY
    level = ModificationLevel.LTA_UPDATES
    additions = AdditionsRule().as_qualified(level)
    if changes == "permitted":
        standard = DEFAULT_DIFF_POLICY
        return StandardDiffPolicy([additions, *standard.global_rules], standard.form_rule)
    return StandardDiffPolicy(
        global_rules=[
            additions,
            CatalogModificationRule(),  # type: ignore[no-untyped-call]
            DescriptionRule().as_qualified(level),
            XrefStreamRule().as_qualified(level),
            ObjectStreamRule().as_qualified(level),
            DSSCompareRule().as_qualified(level),
            XmpRule().as_qualified(level),  # type: ignore[no-untyped-call]
        ],
        form_rule=FormUpdatingRule(
            field_rules=[
                SigFieldCreationRule(),  # type: ignore[no-untyped-call]
                SigFieldModificationRule(),
            ],
        ),
    )
