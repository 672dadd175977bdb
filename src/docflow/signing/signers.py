"""Who can sign here: the people's identities and the organisation's seal.

In production the operator names every PKCS#12 file in a YAML file (`DOCFLOW_SIGNERS_FILE`); whatever
is wrong with one of them stops the start. In development a throw-away PKI stands in, says so, and
issues to new people when they first sign.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from docflow.kernel.errors import ConfigurationError, ConflictError
from docflow.signing.devpki import Credential, ensure_devpki
from docflow.signing.identity import SignerIdentity
from docflow.signing.trust import TrustRoots

_KEYS = {"roots", "trust", "seal", "people"}


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
    ) -> None:
        """Hold the identities.

        Args:
            seal: the organisation's.
            people: login → identity.
            own_roots: what our own certificates lead to.
            roots: further roots that verifications trust.
            issue: makes an identity for a login and a name; development only.
        """
        self._seal = seal
        self._people = dict(people)
        self.own_roots = own_roots
        self.roots = roots
        self._issue = issue
        self._lock = threading.Lock()

    def seal(self, now: datetime) -> SignerIdentity:
        """Return the organisation's identity.

        Raises:
            ConflictError: if its certificate is not valid now.
        """
        return _valid(self._seal, now)

    def identities(self) -> tuple[SignerIdentity, ...]:
        """Return every identity that is loaded: the seal, then people by login."""
        with self._lock:
            return (self._seal, *(self._people[login] for login in sorted(self._people)))

    def person(self, login: str, name: str, now: datetime) -> SignerIdentity:
        """Return a person's identity.

        Raises:
            ConflictError: if the person has none (code `no-signer`), or it is not valid now.
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
                satisfied_by=f"Have the operator name a PKCS#12 file for {login!r} in the signers file.",
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
    folder: Path, organisation: str, people: Mapping[str, str], *, now: datetime
) -> Signers:
    """Return signers from the throw-away PKI in `folder`, made or completed as needed.

    Args:
        folder: where it lies.
        organisation: the organisation's name.
        people: login → name of those who are known already.
        now: the current instant.
    """
    pki = ensure_devpki(folder, organisation, people, now=now)
    own = TrustRoots.from_files([pki.root])

    def load(credential: Credential, expect: Any) -> SignerIdentity:
        return SignerIdentity.from_pkcs12(
            credential.pkcs12, credential.passphrase(), roots=own, now=now, expect=expect
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
    )


def signers_from_file(path: Path, *, now: datetime) -> Signers:
    """Return the signers that an operator's YAML file names; paths in it are relative to it.

    The file holds `roots` (PEM files our certificates lead to), `seal` and, by login, `people`, each
    with `pkcs12` and `passphrase_file`; and may hold `trust` (PEM files of others' roots).

    Raises:
        ConfigurationError: naming the file and what would be right.
    """
    data = _read(path)
    base = path.parent
    own = TrustRoots.from_files([base / str(item) for item in _list(path, data, "roots")])
    if not own.certificates:
        raise ConfigurationError(f"{path}: `roots` names no root certificate.")

    def load(where: str, value: Any, expect: Any) -> SignerIdentity:
        if not isinstance(value, dict) or set(value) != {"pkcs12", "passphrase_file"}:
            raise ConfigurationError(
                f"{path}: {where} must have exactly `pkcs12` and `passphrase_file`."
            )
        secret = base / str(value["passphrase_file"])
        try:
            passphrase = secret.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"{path}: {where}: the passphrase file {secret} cannot be read "
                f"({error.strerror or type(error).__name__})."
            ) from error
        return SignerIdentity.from_pkcs12(
            base / str(value["pkcs12"]), passphrase, roots=own, now=now, expect=expect
        )

    people = data.get("people") or {}
    if not isinstance(people, dict):
        raise ConfigurationError(f"{path}: `people` must be a mapping from login to files.")
    return Signers(
        seal=load("seal", data.get("seal"), "organisation"),
        people={
            str(login): load(f"people/{login}", value, "person") for login, value in people.items()
        },
        own_roots=own,
        roots=TrustRoots.from_files([base / str(item) for item in _list(path, data, "trust")]),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        told = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ConfigurationError(f"The signers file {path} cannot be read: {told}.") from error
    if not isinstance(data, dict) or set(data) - _KEYS:
        raise ConfigurationError(
            f"The signers file {path} must be a mapping with {', '.join(sorted(_KEYS))}."
        )
    return data


def _list(path: Path, data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list):
        raise ConfigurationError(f"{path}: `{name}` must be a list of PEM files.")
    return value
