"""Keys: a random data key for each sealed thing, wrapped by a key-encryption key that a provider holds.

There is one key-encryption key per organisation and classification (its id), in versions; new data
keys are wrapped by the newest. What a row keeps is an `Envelope`: which key wrapped it, and the
wrapped bytes. The key-encryption key is never kept where the envelopes are.

Wrapping is AES-256-GCM with a random nonce and the context as associated data, whatever the provider:
2^32 wrappings by one version are the limit (NIST SP 800-38D 8.3); rotate long before.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from docflow.kernel.errors import ConfigurationError, IntegrityError
from docflow.storage.sealing.context import SUITE, SealContext, check_key_id
from docflow.storage.sealing.format import KEY_BYTES

NONCE_BYTES: Final = 12
WRAPPED_BYTES: Final = NONCE_BYTES + KEY_BYTES + 16
_PURPOSE = "data-key"
_MEMBERS = frozenset({"v", "suite", "provider", "key", "version", "wrapped"})


class KeyProvider(Protocol):
    """A place that holds key-encryption keys and works with them.

    A provider never gives a key-encryption key away and never deletes one. Any number of threads may
    call. `create_next` is durable when it returns; when several call at once, whatever key a version
    gets, what it wraps opens again.
    """

    @property
    def name(self) -> str:
        """Return the provider's name, which envelopes carry."""
        ...

    def key_ids(self) -> list[str]:
        """Return the ids that there is a key for, sorted.

        Raises:
            ConfigurationError: if the provider is not there or refuses us.
            UnavailableError: if it does not answer.
        """
        ...

    def versions(self, key_id: str) -> list[int]:
        """Return the versions of a key, oldest first; empty if there is none. Raises as `key_ids`."""
        ...

    def create_next(self, key_id: str) -> int:
        """Make the next version of a key (1 for the first) and return it.

        Raises:
            ConfigurationError: if this provider's keys are made elsewhere (code `key-not-made-here`);
                or as `key_ids`.
        """
        ...

    def wrap(self, key_id: str, version: int, data_key: bytes, context: bytes) -> bytes:
        """Return a data key wrapped, bound to a context.

        Raises:
            IntegrityError: if there is no such key or version (code `key-missing`).
            UnavailableError: if the provider does not answer.
        """
        ...

    def unwrap(self, key_id: str, version: int, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key.

        Raises:
            IntegrityError: if there is no such key or version (code `key-missing`), or the key or
                the context is not the one it was wrapped with, or it was changed (code
                `wrapped-key-refused`).
            UnavailableError: if the provider does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """A wrapped data key and what opens it; safe to keep beside the row of what it seals."""

    provider: str
    key_id: str
    version: int
    wrapped: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the form for a database column."""
        return {
            "v": 1,
            "suite": SUITE,
            "provider": self.provider,
            "key": self.key_id,
            "version": self.version,
            "wrapped": base64.b64encode(self.wrapped).decode(),
        }

    @classmethod
    def of(cls, provider: str, key_id: str, version: int, wrapped: str) -> Self:
        """Return the envelope that lies in four columns; `wrapped` is base64. Raises as `from_json`."""
        told = {"provider": provider, "key": key_id, "version": version, "wrapped": wrapped}
        return cls.from_json({"v": 1, "suite": SUITE, **told})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the envelope in a database column.

        Raises:
            IntegrityError: if it is none that this version wrote.
        """
        try:
            wrapped = base64.b64decode(value["wrapped"], validate=True)
            check_key_id(value["key"])
            known = set(value) == _MEMBERS and (value["v"], value["suite"]) == (1, SUITE)
            sound = type(value["version"]) is int and value["version"] > 0
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise _unreadable() from error
        if not (known and sound and isinstance(value["provider"], str)):
            raise _unreadable()
        return cls(value["provider"], value["key"], value["version"], wrapped)


Depended = Callable[[str, str], int]
"""Tells the newest version of a provider's key that something depends on; 0 if nothing does."""


class Keyring:
    """The key providers of one instance: the first wraps, each opens what it wrapped."""

    def __init__(self, provider: KeyProvider, *earlier: KeyProvider) -> None:
        """Take the provider in use, and those that envelopes may still name (moving house)."""
        self.provider = provider
        self._providers = {each.name: each for each in (*earlier, provider)}
        self._depended: Depended = lambda _provider, _key_id: 0

    def watch(self, depended: Depended) -> None:
        """Ask before the first version of a key is made whether something depends on one already.

        A provider that lost its keys, or whose folder is not mounted, looks like one that never had
        any; a new key would take the lost one's name.
        """
        self._depended = depended

    def seal_key(self, context: SealContext) -> tuple[bytes, Envelope]:
        """Make a data key for one thing; return it and its envelope.

        A key-encryption key that is not there yet is made.

        Raises:
            ConfigurationError: if there is none and it cannot be made here.
            IntegrityError: if there is none any more (code `key-missing`).
            UnavailableError: if the provider does not answer.
        """
        data_key = secrets.token_bytes(KEY_BYTES)
        return data_key, self.wrap(data_key, context)

    def open_key(self, envelope: Envelope, context: SealContext) -> bytes:
        """Return the data key in an envelope.

        Raises:
            ConfigurationError: if the provider that wrapped it is not configured.
            IntegrityError: if the context is not the one it was made for, or the key is missing,
                wrong or was changed.
            UnavailableError: if the provider does not answer.
        """
        if envelope.key_id != context.key_id:
            raise IntegrityError(
                f"The data key belongs to {envelope.key_id}, not to {context.key_id}: its record was "
                "moved or changed.",
                code="wrapped-key-refused",
            )
        provider = self._providers.get(envelope.provider)
        if provider is None:
            raise ConfigurationError(
                f"The data key was wrapped by the key provider {envelope.provider!r}, which is not "
                f"configured (configured: {', '.join(sorted(self._providers))}).",
                code="key-provider-missing",
                satisfied_by="Configure that provider again, or restore it from its copy.",
            )
        return provider.unwrap(
            envelope.key_id, envelope.version, envelope.wrapped, context.encode(_PURPOSE)
        )

    def rewrap(self, envelope: Envelope, context: SealContext) -> Envelope:
        """Return the same data key wrapped by the newest key. Raises as `open_key`, `seal_key`."""
        data_key = self.open_key(envelope, context)
        anew = self.wrap(data_key, context)
        if self.open_key(anew, context) != data_key:  # the old one is let go of only then
            raise refused(anew.key_id, anew.version)
        return anew

    def newest(self, key_id: str) -> int | None:
        """Return the newest version of a key in the provider in use, None if there is none."""
        versions = self.provider.versions(key_id)
        return versions[-1] if versions else None

    def rotate(self, key_id: str) -> int:
        """Make the next version of a key; what is sealed from now on uses it. Return it."""
        check_key_id(key_id)
        return self.provider.create_next(key_id)

    def providers(self) -> Sequence[KeyProvider]:
        """Return every configured provider, the one in use first."""
        return [
            self.provider,
            *(each for each in self._providers.values() if each is not self.provider),
        ]

    def wrap(self, data_key: bytes, context: SealContext) -> Envelope:
        """Return a data key wrapped for a context by the newest key. Raises as `seal_key`."""
        key_id = context.key_id
        version = self.newest(key_id) or self._first(key_id)
        wrapped = self.provider.wrap(key_id, version, data_key, context.encode(_PURPOSE))
        return Envelope(self.provider.name, key_id, version, wrapped)

    def _first(self, key_id: str) -> int:
        if lost := self._depended(self.provider.name, key_id):
            raise key_missing(self.provider.name, key_id, lost)
        return self.provider.create_next(key_id)


def key_missing(provider: str, key_id: str, version: int) -> IntegrityError:
    """Return the error of a provider that has no such key."""
    return IntegrityError(
        f"The key-encryption key {key_id} version {version} is not in the key provider "
        f"{provider!r}; what it wrapped cannot be opened without it.",
        code="key-missing",
        satisfied_by="Restore the key from its copy; keys are never made again.",
    )


def refused(key_id: str, version: int) -> IntegrityError:
    """Return the error of a wrapped key that does not open."""
    return IntegrityError(
        f"The key-encryption key {key_id} version {version} does not open this data key: it is "
        "another key than the one that wrapped it, or the record was moved or changed.",
        code="wrapped-key-refused",
    )


def _unreadable() -> IntegrityError:
    return IntegrityError(
        "The record of a wrapped data key is not one that this version of docflow wrote.",
        code="wrapped-key-unreadable",
    )
