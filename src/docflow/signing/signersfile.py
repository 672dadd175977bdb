"""The operator's YAML file of signers (`DOCFLOW_SIGNERS_FILE`): which identity is where.

Each signer is of one kind, told by its first key:

- `pkcs12`: an encrypted file, with `passphrase_file`.
- `pkcs11`: a token's library, with `token` (its label), `key` (the label of key and certificate),
  `pin_file`, and perhaps `certificates`, a PEM file with certificate and chain.
- `csc`: the address of a remote signing service, with `credential`, and either `token_file` or an OAuth
  client's `client_id` and `client_secret_file` (perhaps `token_url` and `scope`); and perhaps `pin_file`,
  `ca_file` and `certificates` (with it, the service is not asked at the start).

What visible signatures show is in `appearances` (`pictures.py`): `seal` and, by login, `people`, also
those with cards, each with `image` (a transparent PNG) and perhaps `width_mm`.

Rule: secrets are in files of their own, never in this one. A person whose key is on a card of their own
is not named here: the certificate is enrolled through the API.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from docflow.kernel.errors import ConfigurationError
from docflow.signing.csc import RemoteCredential, RemoteOptions, RemoteSigner
from docflow.signing.cscaccess import Client
from docflow.signing.dated import NewSignatures
from docflow.signing.fitness import Kind
from docflow.signing.identity import SignerIdentity
from docflow.signing.pictures import pictures_from
from docflow.signing.signers import Signers
from docflow.signing.token import SigningToken, TokenSigner, secret_from_file
from docflow.signing.trust import TrustRoots, sha256_of

_KEYS = {"roots", "trust", "seal", "people", "appearances"}
KINDS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "pkcs12": (frozenset({"pkcs12", "passphrase_file"}), frozenset()),
    "pkcs11": (frozenset({"pkcs11", "token", "key", "pin_file"}), frozenset({"certificates"})),
    "csc": (
        frozenset({"csc", "credential"}),
        frozenset(
            {
                *("token_file", "client_id", "client_secret_file", "token_url", "scope"),
                *("pin_file", "ca_file", "certificates"),
            }
        ),
    ),
}
"""Kind → keys it must have, keys it may have."""


def signers_from_file(
    path: Path, *, now: datetime, algorithms: NewSignatures | None = None
) -> Signers:
    """Return the signers that an operator's YAML file names; paths in it are relative to it.

    The file holds `roots` (PEM files our certificates lead to), `seal` and, by login, `people`, each
    with the keys of one kind of `KINDS`; and may hold `trust` (PEM files of others' roots) and
    `appearances`.

    Raises:
        ConfigurationError: naming the file and what would be right.
    """
    data = _read(path)
    own, others = _roots(path, data)
    rules = algorithms or NewSignatures()
    load = _Loader(path, own, now, rules).load
    people = data.get("people") or {}
    if not isinstance(people, dict):
        raise ConfigurationError(f"{path}: `people` must be a mapping from login to files.")
    signing = {
        str(login): load(f"people/{login}", value, "person") for login, value in people.items()
    }
    _refuse_shared_keys(path, signing)
    return Signers(
        seal=load("seal", data.get("seal"), "organisation"),
        people=signing,
        own_roots=own,
        roots=others,
        pictures=pictures_from(path, data.get("appearances")),
        algorithms=rules,
    )


def roots_from_file(path: Path) -> tuple[TrustRoots, TrustRoots]:
    """Return our own roots and others' from a signers file; no key is opened, no service asked.

    Raises:
        ConfigurationError: naming the file and what would be right.
    """
    return _roots(path, _read(path))


def _roots(path: Path, data: Mapping[str, Any]) -> tuple[TrustRoots, TrustRoots]:
    def named(key: str) -> TrustRoots:
        return TrustRoots.from_files(path.parent / str(item) for item in _list(path, data, key))

    own = named("roots")
    if not own.certificates:
        raise ConfigurationError(f"{path}: `roots` names no root certificate.")
    return own, named("trust")


def _refuse_shared_keys(path: Path, people: Mapping[str, SignerIdentity]) -> None:
    """Refuse one key for two people: whose signature it made, nobody could tell."""
    whose: dict[bytes, str] = {}
    for login, identity in people.items():
        key = identity.certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        other = whose.setdefault(key, login)
        if other != login:
            raise ConfigurationError(
                f"{path}: people/{other} and people/{login} have the same key; give each person a key "
                "of their own.",
                code="signer-identity",
            )


@dataclass
class _Loader:
    """Opens what the file names; tokens are logged in once, however many keys they hold."""

    path: Path
    own: TrustRoots
    now: datetime
    algorithms: NewSignatures
    tokens: dict[tuple[Path, str], SigningToken] = field(default_factory=dict)

    def load(self, where: str, value: Any, expect: Kind) -> SignerIdentity:
        """Return the identity at `where` in the file."""
        kind = next((kind for kind in KINDS if isinstance(value, dict) and kind in value), None)
        if kind is None:
            raise ConfigurationError(
                f"{self.path}: {where} must be a mapping with one of {', '.join(KINDS)}."
            )
        needed, allowed = KINDS[kind]
        if not needed <= set(value) or set(value) - needed - allowed:
            may = f", and may have {', '.join(sorted(allowed))}" if allowed else ""
            raise ConfigurationError(
                f"{self.path}: {where} must have exactly {', '.join(sorted(needed))}{may}."
            )
        given = {name: str(item) for name, item in value.items()}
        makers = {"pkcs12": self._pkcs12, "pkcs11": self._pkcs11, "csc": self._csc}
        return makers[kind](where, given, expect)

    def _file(self, name: str) -> Path:
        return self.path.parent / name

    def _pkcs12(self, where: str, given: Mapping[str, str], expect: Kind) -> SignerIdentity:
        secret = self._file(given["passphrase_file"])
        try:
            passphrase = secret.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"{self.path}: {where}: the passphrase file {secret} cannot be read "
                f"({error.strerror or type(error).__name__})."
            ) from error
        return SignerIdentity.from_pkcs12(
            self._file(given["pkcs12"]),
            passphrase,
            roots=self.own,
            now=self.now,
            expect=expect,
            algorithms=self.algorithms,
        )

    def _pkcs11(self, where: str, given: Mapping[str, str], expect: Kind) -> SignerIdentity:
        module, label = Path(given["pkcs11"]), given["token"]
        pin = secret_from_file(self._file(given["pin_file"]))
        token = self.tokens.setdefault((module, label), SigningToken(module, label, pin))
        key = given["key"]
        held = token.certificates()
        if "certificates" in given:
            leaf, *chain = read_pem(self._file(given["certificates"]))
        elif len(held.get(key, [])) == 1:
            leaf = held[key][0]
            chain = _chain(leaf, [one for found in held.values() for one in found])
        else:
            raise ConfigurationError(
                f"{self.path}: {where}: the token {label!r} shows {len(held.get(key, [])) or 'no'} "
                f"certificates labelled {key!r}.",
                code="signer-token-key",
                satisfied_by="Write one into the token, or name a PEM file with `certificates`.",
            )
        identity = SignerIdentity.checked(
            f"The signer {where} ({key!r} in the token {label!r})",
            leaf,
            chain,
            lambda public, links: TokenSigner(token, key, public, leaf, links),
            roots=self.own,
            now=self.now,
            expect=expect,
            algorithms=self.algorithms,
        )
        identity.signer.sign_bytes(
            sha256_of(leaf).encode()
        )  # a key that cannot sign stops the start
        return identity

    def _csc(self, where: str, given: Mapping[str, str], expect: Kind) -> SignerIdentity:
        pin, ca = (
            self._file(given[name]) if name in given else None for name in ("pin_file", "ca_file")
        )
        access = self._access(where, given)
        credential = RemoteCredential(
            RemoteOptions(given["csc"], given["credential"], access, pin, ca)
        )
        if "certificates" in given:
            leaf, *chain = read_pem(self._file(given["certificates"]))
        else:
            leaf, *chain = credential.certificates()
        return SignerIdentity.checked(
            f"The signer {where} ({credential})",
            leaf,
            chain,
            lambda public, links: RemoteSigner(credential, public, leaf, links),
            roots=self.own,
            now=self.now,
            expect=expect,
            algorithms=self.algorithms,
        )

    def _access(self, where: str, given: Mapping[str, str]) -> Path | Client:
        """Return how a remote service is to know us: by a token in a file, or as an OAuth client."""
        client = {"client_id", "client_secret_file"}
        if "token_file" in given and not set(given) & {*client, "token_url", "scope"}:
            return self._file(given["token_file"])
        if "token_file" in given or not client <= set(given):
            raise ConfigurationError(
                f"{self.path}: {where} must have either token_file, or client_id and "
                "client_secret_file (and may then have token_url and scope)."
            )
        return Client(
            given["client_id"],
            self._file(given["client_secret_file"]),
            given.get("token_url"),
            given.get("scope", "service"),
        )


def _chain(leaf: x509.Certificate, held: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return the authorities above a certificate, as far as the token has them."""
    chain: list[x509.Certificate] = []
    link = leaf
    while link.issuer != link.subject and len(chain) <= len(held):
        above = next((one for one in held if one.subject == link.issuer), None)
        if above is None:
            break
        chain.append(above)
        link = above
    return chain


def read_pem(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, the signer's first.

    Raises:
        ConfigurationError: if it holds none.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        raise ConfigurationError(
            f"The file {path} cannot be read as PEM certificates; it must hold the signer's and then "
            "those of the authorities.",
            code="signer-identity",
        ) from None
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        told = getattr(error, "strerror", None) or _yaml_fault(error)
        raise ConfigurationError(f"The signers file {path} cannot be read: {told}.") from error
    if not isinstance(data, dict) or set(data) - _KEYS:
        raise ConfigurationError(
            f"The signers file {path} must be a mapping with {', '.join(sorted(_KEYS))}."
        )
    return data


def _yaml_fault(error: Exception) -> str:
    """Say what is wrong in a YAML text, and in which line."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error).splitlines()[0]


def _list(path: Path, data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list):
        raise ConfigurationError(f"{path}: `{name}` must be a list of PEM files.")
    return value
