import unicodedata

import pytest
from argon2 import PasswordHasher

from docflow.kernel.errors import InvalidInputError
from docflow.people.passwords import Passwords, check_new_password

GOOD = "ba con mèo ngủ"


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_only_the_right_password_is_right(passwords: Passwords) -> None:
    stored = passwords.hash(GOOD)
    assert passwords.verify(stored, GOOD)
    for wrong in (GOOD + " ", GOOD[:-1], GOOD.upper(), "", "\x00", "\ud800", "x" * 100_000):
        assert not passwords.verify(stored, wrong)


def test_hashes_are_salted(passwords: Passwords) -> None:
    assert passwords.hash(GOOD) != passwords.hash(GOOD)


def test_however_the_keyboard_composes_it_the_password_is_the_same(passwords: Passwords) -> None:
    stored = passwords.hash(unicodedata.normalize("NFD", GOOD))
    assert passwords.verify(stored, unicodedata.normalize("NFC", GOOD))


@pytest.mark.parametrize("stored", [None, "", "nonsense", "$argon2id$v=19$m=8,t=1,p=1$x$y"])
def test_without_a_usable_hash_nothing_is_right(passwords: Passwords, stored: str | None) -> None:
    assert not passwords.verify(stored, GOOD)


def test_other_parameters_are_outdated(passwords: Passwords) -> None:
    other = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert not passwords.outdated(passwords.hash(GOOD))
    assert passwords.outdated(other.hash(GOOD))


@pytest.mark.parametrize(
    "password", [GOOD, "a b c d e f ", "x1" * 5 + "yz", "Đ" * 10 + "ăâ", "🐈" * 11 + "ab"]
)
def test_long_enough_and_not_common_is_accepted(password: str) -> None:
    check_new_password(password, "hanh.nt")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "ngắn quá",
        "x1yz" * 33,
        "hanh.nguyen.thi",
        "  HANH.nguyen.thi ",
        "Password1234",
        "１２３４５６７８９０１２",  # the same digits, full width
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "một hai ba\x00 bốn",
        "một hai ba\nbốn năm",
        "a\u0301\u0302\u0303",
    ],
)
def test_what_is_easy_to_guess_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_new_password(password, "hanh.nguyen.thi", pointer="/new_password")
    assert caught.value.code == "weak-password"
    assert caught.value.fields[0].pointer == "/new_password"
    assert caught.value.satisfied_by
    assert not password or password not in f"{caught.value.detail} {caught.value.fields}"
