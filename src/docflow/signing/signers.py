"""Who can sign here: the people's identities and the organisation's seal.

In production the operator names them in a YAML file (`signersfile.py`); whatever is wrong with one of
them stops the start. In development a throw-away PKI stands in, says so, and issues to new people when
they first sign.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from docflow.kernel.errors import ConflictError
from docflow.signing.dated import NewSignatures
from docflow.signing.devpictures import development_pictures
from docflow.signing.devpki import Credential, ensure_devpki
from docflow.signing.identity import SignerIdentity
from docflow.signing.pictures import Pictures
from docflow.signing.trust import TrustRoots


class Signers:
    """The signer identities of one instance, loaded once."""

    def __init__(
        self,
        *,
        seal: SignerIdentity,
        people: Mapping[str, SignerIdentity],
        own_roots: TrustRoots,
        roots: TrustRoots,
        issue: Callable[[str, str], SignerIdentity] | None = None,
        pictures: Pictures | None = None,
        algorithms: NewSignatures | None = None,
    ) -> None:
        """Hold the identities.

        Args:
            seal: the organisation's.
            people: login → identity.
            own_roots: what our own certificates lead to.
            roots: further roots that verifications trust.
            issue: makes an identity for a login and a name; development only.
            pictures: what visible signatures show; None for text alone.
            algorithms: the dated policy that new signatures have to meet; by default the shipped one.
        """
        self._seal = seal
        self._people = dict(people)
        self.own_roots = own_roots
        self.roots = roots
        self._issue = issue
        self.pictures = pictures or Pictures()
        self.algorithms = algorithms or NewSignatures()
        self._lock = threading.Lock()

    def seal(self, now: datetime) -> SignerIdentity:
        """Return the organisation's identity.

        Raises:
            ConflictError: if its certificate is not valid now, or its algorithms no longer last.
        """
        return self._fit(self._seal, now)

    def identities(self) -> tuple[SignerIdentity, ...]:
        """Return every identity that is loaded: the seal, then people by login."""
        with self._lock:
            return (self._seal, *(self._people[login] for login in sorted(self._people)))

    def login_of(self, sha256: str) -> str | None:
        """Return whose the signers file says a certificate is; None if it has none such."""
        with self._lock:
            return next(
                (login for login, one in self._people.items() if one.sha256 == sha256), None
            )

    def logins(self) -> tuple[str, ...]:
        """Return the logins of the people whose identities are loaded, in order."""
        with self._lock:
            return tuple(sorted(self._people))

    def person(self, login: str, name: str, now: datetime) -> SignerIdentity:
        """Return a person's identity.

        Raises:
            ConflictError: if the person has none (code `no-signer`), or it is not valid now, or its
                algorithms no longer last.
        """
        with self._lock:
            identity = self._people.get(login)
            if identity is None and self._issue is not None:
                identity = self._people[login] = self._issue(login, name)
        if identity is None:
            raise ConflictError(
                f"{name} has no signing certificate here.",
                code="no-signer",
                rule="signer-enrolled",
                satisfied_by="Have a card enrolled and prove its key (docflow prove-certificate), or have "
                f"the operator name a key for {login!r} in the signers file (PKCS#12, token, remote).",
            )
        return self._fit(identity, now)

    def _fit(self, identity: SignerIdentity, now: datetime) -> SignerIdentity:
        """Return an identity that may sign now: what was fit at the start may have come of age since."""
        late = self.algorithms.identity_faults(
            identity.certificate, identity.chain, self.own_roots.certificates, now
        )
        if late:
            raise ConflictError(
                f"The certificate of {identity.name} cannot sign now: it {late[0]}.",
                code="algorithm-out-of-policy",
                rule="algorithm-policy",
                satisfied_by="Have the operator put a certificate with stronger algorithms in its place.",
            )
        return _valid(identity, now)


def _valid(identity: SignerIdentity, now: datetime) -> SignerIdentity:
    certificate = identity.certificate
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ConflictError(
            f"The certificate of {identity.name} is valid from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
            " only; it cannot sign now.",
            code="signer-expired",
            satisfied_by="Have the operator put a valid PKCS#12 file in its place and restart.",
        )
    return identity


def development_signers(
    folder: Path,
    organisation: str,
    people: Mapping[str, str],
    *,
    now: datetime,
    algorithms: NewSignatures | None = None,
) -> Signers:
    """Return signers from the throw-away PKI in `folder`, made or completed as needed.

    Args:
        folder: where it lies.
        organisation: the organisation's name.
        people: login → name of those who are known already.
        now: the current instant.
        algorithms: the dated policy that new signatures have to meet; by default the shipped one.
    """
    pki = ensure_devpki(folder, organisation, people, now=now)
    own = TrustRoots.from_files([pki.root])

    def load(credential: Credential, expect: Any) -> SignerIdentity:
        return SignerIdentity.from_pkcs12(
            credential.pkcs12,
            credential.passphrase(),
            roots=own,
            now=now,
            expect=expect,
            algorithms=algorithms,
        )

    def issue(login: str, name: str) -> SignerIdentity:
        made = ensure_devpki(folder, organisation, {login: name}, now=now)
        return load(made.people[login], "person")

    return Signers(
        seal=load(pki.organisation, "organisation"),
        people={login: load(credential, "person") for login, credential in pki.people.items()},
        own_roots=own,
        roots=TrustRoots(()),
        issue=issue,
        pictures=development_pictures(folder),
        algorithms=algorithms,
    )
