"""How far the search for certificate chains goes: authorities that certify one another make endless ways.

A mesh of n authorities has more than n! ways through it, and whoever sends a file chooses the
certificates in it. The search is bounded by count, so that the same file gets the same verdict on a slow
machine and on a fast one; the limit of time is the second guard.

Source: ETSI EN 319 102-1 5.2.6 (X.509 certificate validation); RFC 4158 (building of certification paths).
"""

from collections.abc import Iterator
from typing import Final, NoReturn

from asn1crypto import x509
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.policy_decl import SignatureValidationSpec
from pyhanko_certvalidator.authority import TrustAnchor
from pyhanko_certvalidator.registry import SimpleTrustManager

from docflow.signing.trust import TrustRoots

MOST_STEPS: Final = 500
"""How often an issuer is looked for in one validation; a chain of three with its responders takes ten."""
MOST_PATHS: Final = 64
"""How many chains that reach a root are tried in one validation."""


GIVEN_UP: Final = (
    f"Among the certificates given, no good chain was found in {MOST_STEPS} steps and {MOST_PATHS} chains, "
    "which is as far as it is looked for."
)


class TooManyPathsError(SignatureValidationError):
    """The search for a chain was given up."""

    def __init__(self) -> None:
        super().__init__("", AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE)
        self.failure_message = GIVEN_UP
        self.args = (GIVEN_UP,)


class BoundedTrust(SimpleTrustManager):
    """The roots of one validation; they count what is asked of them.

    A `SimpleTrustManager`, for of these alone pyHanko knows the roots when it judges revocation.
    """

    def __init__(self, roots: TrustRoots) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for root in roots.asn1:
            self._register_root(root)
        self._steps = 0
        self._paths = 0
        self.gave_up = False
        """Whether more was asked than is borne."""

    def find_potential_issuers(self, cert: x509.Certificate) -> Iterator[TrustAnchor]:
        """See `TrustManager.find_potential_issuers`; every step of a search comes by here.

        Raises:
            TooManyPathsError: if there were too many steps, or too many chains that end at a root.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            self._give_up()
        for anchor in super().find_potential_issuers(cert):
            self._paths += 1
            if self._paths > MOST_PATHS:
                self._give_up()
            yield anchor

    def _give_up(self) -> NoReturn:
        self.gave_up = True
        raise TooManyPathsError


def gave_up(rules: SignatureValidationSpec) -> bool:
    """Tell whether the search for a chain was given up in a validation by these rules."""
    asked = (rules.cert_validation_policy, rules.ts_cert_validation_policy)
    return any(
        isinstance(one.trust_manager, BoundedTrust) and one.trust_manager.gave_up
        for one in asked
        if one is not None
    )
