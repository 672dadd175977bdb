"""The four PAdES baseline levels, in order of how long a signature made at each can be judged.

B-B: the signature alone. B-T: a time stamp proves when it existed. B-LT: what is needed to judge it
(certificates, revocation) lies in the file. B-LTA: an archive time stamp proves that this lay there
while it could be believed, and can be renewed for as long as wanted.

Source: ETSI EN 319 142-1, 6.
"""

from typing import Literal

from docflow.kernel.errors import InvalidInputError

Level = Literal["B-B", "B-T", "B-LT", "B-LTA"]

LEVELS: tuple[Level, ...] = ("B-B", "B-T", "B-LT", "B-LTA")


def level_named(name: str) -> Level:
    """Return the level of that name.

    Raises:
        InvalidInputError: if there is none.
    """
    if name not in LEVELS:
        raise InvalidInputError(f"{name!r} is no signature level; {', '.join(LEVELS)} are.")
    return name


def reaches(level: Level, other: Level) -> bool:
    """Tell whether `level` is `other` or more."""
    return LEVELS.index(level) >= LEVELS.index(other)


def for_person(level: Level) -> Level:
    """Return the level of a personal signature: its archive time stamp is the seal's."""
    return "B-LT" if level == "B-LTA" else level
