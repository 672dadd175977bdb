"""Identifiers: UUIDv7, strictly increasing, whoever makes them."""

import threading
import time
import uuid

import pytest

from docflow.kernel.ids import is_id, new_id


def test_an_id_is_a_uuid_of_version_7_that_carries_the_time() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    # ids made faster than the 12-bit fraction of a millisecond run a little ahead
    assert before <= value.int >> 80 <= after + 50


def test_later_ids_sort_after_earlier_ones() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_never_share_an_id_and_each_sees_its_own_rise() -> None:
    made: list[list[str]] = []

    def make() -> None:
        made.append([new_id() for _ in range(3_000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in made)
    assert len({value for own in made for value in own}) == 24_000


def test_what_new_id_makes_is_an_id() -> None:
    assert all(is_id(new_id()) for _ in range(100))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "019a2b3c4d5e7f608123456789abcdef",
        "019A2B3C-4D5E-7F60-8123-456789ABCDEF",
        "019a2b3c-4d5e-4f60-8123-456789abcdef",
        "019a2b3c-4d5e-7f60-c123-456789abcdef",
        "019a2b3c-4d5e-7f60-8123-456789abcde",
        "019a2b3c-4d5e-7f60-8123-456789abcdef\n",
        "{019a2b3c-4d5e-7f60-8123-456789abcdef}",
        "019a2b3c-4d5e-7f60-8123-456789abcde٣",
    ],
)
def test_anything_else_is_no_id(text: str) -> None:
    assert not is_id(text)
