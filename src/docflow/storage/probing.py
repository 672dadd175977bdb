"""What the probes of a store's check share: their form, and files to put."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from docflow.storage.staging import StagedFile, Staging


class LackingError(Exception):
    """The store does not do what was asked; its text says what that means."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try: `run` returns what was seen, None if the settings do not ask for it.

    It raises `LackingError` if the store does otherwise, a `DocflowError` if it refuses or fails.
    """

    name: str
    needed: bool
    run: Callable[[], str | None]


def stage(staging: Staging, data: bytes) -> StagedFile:
    """Stage these bytes, whatever the limit for uploads is."""
    path = staging.new_path()
    path.write_bytes(data)
    return StagedFile(path, len(data), hashlib.sha256(data).hexdigest(), data[:64])


def expect(held: bool, otherwise: str) -> None:
    """Go on if `held`.

    Raises:
        LackingError: saying `otherwise`.
    """
    if not held:
        raise LackingError(otherwise)
