"""Rotation: data keys are wrapped anew by the newest key; content is not touched.

Pure: records come from an iterator and go to a function, so any table can be walked. Each record is
saved by compare-and-swap in a transaction of its own. A crash leaves some records wrapped by the old
key and some by the new one; both open, and the next run does what is left. Old keys are not deleted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing.context import SealContext
from docflow.storage.sealing.keys import Envelope, Keyring

MAX_REASONS = 20

Save = Callable[["KeyRecord", Envelope], bool]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A row that keeps an envelope: what it is (for people), and the context it must open in."""

    place: str
    envelope: Envelope
    context: SealContext


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What a rotation did so far."""

    seen: int = 0
    rewrapped: int = 0
    newest_already: int = 0
    changed_meanwhile: int = 0
    failed: int = 0
    reasons: tuple[tuple[str, str], ...] = ()  # (place, why) of the first that failed


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How many records depend on one version of a key."""

    provider: str
    key_id: str
    version: int
    records: int
    newest: bool
    present: bool


def rewrap(keyring: Keyring, records: Iterable[KeyRecord], save: Save) -> Iterator[Rewrapped]:
    """Wrap every record's data key by the newest version; give the progress after each record.

    Args:
        keyring: opens the old envelopes and makes the new ones.
        records: the rows to look at, in any order; those that are done already are passed over.
        save: stores a new envelope durably if the row still holds the record's old one, and tells
            whether it did; a row that changed meanwhile is left for the next run.

    Yields:
        The running totals. A record that does not open is counted with its reason, and the others
        go on.

    Raises:
        ConfigurationError: if a provider is missing.
        UnavailableError: if a provider does not answer; run it again.
    """
    progress = Rewrapped()
    newest: dict[str, int | None] = {}
    for record in records:
        progress = _count(progress, record, *_rewrap_one(keyring, record, save, newest))
        yield progress


def _rewrap_one(
    keyring: Keyring, record: KeyRecord, save: Save, newest: dict[str, int | None]
) -> tuple[str, str]:
    key_id = record.envelope.key_id
    if key_id not in newest:
        newest[key_id] = keyring.newest(key_id)
    current = (keyring.provider.name, newest[key_id])
    if (record.envelope.provider, record.envelope.version) == current:
        return "newest", ""
    try:
        envelope = keyring.rewrap(record.envelope, record.context)
    except IntegrityError as error:
        return "failed", error.detail
    newest[key_id] = envelope.version
    return ("done", "") if save(record, envelope) else ("changed", "")


def _count(progress: Rewrapped, record: KeyRecord, outcome: str, why: str) -> Rewrapped:
    told = progress.reasons
    if outcome == "failed" and len(told) < MAX_REASONS:
        told = (*told, (record.place, why))
    return Rewrapped(
        seen=progress.seen + 1,
        rewrapped=progress.rewrapped + (outcome == "done"),
        newest_already=progress.newest_already + (outcome == "newest"),
        changed_meanwhile=progress.changed_meanwhile + (outcome == "changed"),
        failed=progress.failed + (outcome == "failed"),
        reasons=told,
    )


def usage(keyring: Keyring, envelopes: Iterable[Envelope]) -> list[KeyUse]:
    """Return what depends on what: each version of each key, and how many records it wraps.

    Keys that nothing depends on are listed with 0; versions that records name but no provider has
    are listed as not present: what they wrap cannot be opened.
    """
    counted = Counter((each.provider, each.key_id, each.version) for each in envelopes)
    present: set[tuple[str, str, int]] = set()
    newest: set[tuple[str, str, int]] = set()
    for provider in keyring.providers():
        for key_id in provider.key_ids():
            versions = [(provider.name, key_id, each) for each in provider.versions(key_id)]
            present.update(versions)
            if provider is keyring.provider:
                newest.update(versions[-1:])
    return [
        KeyUse(*key, records=counted[key], newest=key in newest, present=key in present)
        for key in sorted(present | set(counted))
    ]
