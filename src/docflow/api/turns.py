"""Places for work that a stranger's file can make long, so that it never uses up the service's threads.

A few are worked on at once, in threads of their own; a few wait, on the event loop and in no thread;
whoever comes after is told at once to come back. One person takes half of the places at most.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from docflow.kernel.errors import TooManyAttemptsError, UnavailableError

T = TypeVar("T")

AT_ONCE = 2
PLACES = 8  # with those that wait
PLACES_OF_ONE = 4
_RETRY_SECONDS = 9  # the header says one more


class Turns:
    """The places of one application; used on its event loop only, so it needs no lock."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._taken: Counter[str] = Counter()

    def check(self, person_id: str) -> None:
        """Refuse before the body is received what would be refused after.

        Raises:
            TooManyAttemptsError: if this person has all the places that one may have.
            UnavailableError: if no place is free.
        """
        if self._taken[person_id] >= PLACES_OF_ONE:
            raise TooManyAttemptsError(
                f"{PLACES_OF_ONE} files that you sent are being verified or wait for it; send this one "
                "again when they are done.",
                code="too-many-verifications",
                retry_after_seconds=_RETRY_SECONDS,
            )
        if self._taken.total() >= PLACES:
            raise UnavailableError(
                "Too many files are being verified at the moment; send this one again in a while.",
                code="too-many-verifications",
                retry_after_seconds=_RETRY_SECONDS,
            )

    async def run(self, person_id: str, work: Callable[[], T]) -> T:
        """Do `work` in a thread when its turn comes.

        Raises:
            TooManyAttemptsError, UnavailableError: as `check`.
        """
        with self._place(person_id):
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    @contextmanager
    def _place(self, person_id: str) -> Iterator[None]:
        self.check(person_id)
        self._taken[person_id] += 1
        try:
            yield
        finally:
            self._taken[person_id] -= 1
            if not self._taken[person_id]:
                del self._taken[person_id]
