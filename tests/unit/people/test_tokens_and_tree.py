import hashlib

import pytest

from docflow.kernel.clock import SystemClock
from docflow.people.tokens import kind_of, new_token, token_digest
from docflow.people.tree import UnitTree
from docflow.people.views import ApiKey, NewApiKey, Session
from docflow.people.vocabulary import Role


class TestTokens:
    def test_a_token_tells_what_it_is_for(self) -> None:
        assert kind_of(new_token("session")) == "session"
        assert kind_of(new_token("key")) == "key"

    @pytest.mark.parametrize(
        "text",
        ["", "dfs_", "dfs_" + "a" * 42, "dfs_" + "a" * 44, "DFS_" + "a" * 43, "dfs_" + "=" * 43],
    )
    def test_other_text_is_no_token(self, text: str) -> None:
        assert kind_of(text) is None

    def test_the_digest_is_a_plain_sha256(self) -> None:
        token = new_token("session")
        assert token_digest(token) == hashlib.sha256(token.encode()).hexdigest()

    def test_what_carries_a_token_does_not_print_it(self) -> None:
        token, now = new_token("key"), SystemClock().now()
        key = ApiKey("i", "n", "p", None, ("inbox:read",), now, None, None, 1)
        assert token not in repr(NewApiKey(token, key))
        assert token not in repr(Session(token, now, "l", "p", None))


class TestTree:
    TREE = UnitTree([("a", None), ("b", "a"), ("c", "b"), ("d", "a"), ("e", None)])

    @pytest.mark.parametrize(
        ("unit", "below"),
        [("a", "abcd"), ("b", "bc"), ("c", "c"), ("d", "d"), ("e", "e"), ("unknown", ())],
    )
    def test_below_a_unit_is_itself_and_all_under_it(self, unit: str, below: str) -> None:
        expected = set(below) if below else {unit}
        assert self.TREE.below(unit) == expected
        assert self.TREE.below(unit) == expected

    def test_a_circle_in_damaged_data_ends(self) -> None:
        assert UnitTree([("a", "b"), ("b", "a")]).below("a") == {"a", "b"}


def test_roles_are_in_alphabetical_order() -> None:
    assert list(Role) == sorted(Role)
