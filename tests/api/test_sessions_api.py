"""Signing in and out over HTTP, and the password of one's own."""

from datetime import timedelta
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from tests.api_support import GOOD, Door, Office, answered, refused
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    HEAD,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
    password_of,
)

# -- sessions ----------------------------------------------------------------------------------------


class TestSessions:
    def test_a_person_signs_in(self, any_office: Office) -> None:
        given = {"login": " KHOA.LD ", "password": password_of(SPECIALIST)}
        opened = answered(any_office.nobody.post("/v1/sessions", given), 201)
        assert opened["person"]["login"] == SPECIALIST
        assert opened["recipient"] is None
        assert opened["expires_at"] == "2026-03-02T10:30:00Z"
        me = Door(any_office.client, opened["token"]).read("/v1/me")
        assert (me["id"], me["kind"], me["scopes"]) == (opened["person"]["id"], "person", None)

    def test_a_recipient_signs_in(self, office: Office) -> None:
        given = {"login": RECIPIENT, "password": password_of(RECIPIENT)}
        opened = answered(office.nobody.post("/v1/sessions", given), 201)
        assert opened["person"] is None
        assert opened["recipient"]["code"] == "STC"
        me = Door(office.client, opened["token"]).read("/v1/me")
        assert (me["kind"], me["login"]) == ("recipient", RECIPIENT)
        assert me["recipients"] == [opened["recipient"]]
        assert me["offices"] == []

    def test_an_answer_does_not_tell_whether_a_login_exists(self, office: Office) -> None:
        answers = [
            office.nobody.post("/v1/sessions", {"login": login, "password": "wrong password"})
            for login in (SPECIALIST, "nobody.here", "", "no such form!", "\ud800\x01")
        ]
        for answer in answers[:3]:
            problem = refused(answer, 401, "invalid-credentials")
            assert problem["detail"] == answers[0].json()["detail"]
        assert answers[0].headers["www-authenticate"] == 'Bearer realm="docflow"'
        refused(answers[4], 422, "invalid-input")

    def test_too_many_wrong_passwords_lock_until_an_administrator_unlocks(
        self, office: Office
    ) -> None:
        wrong = {"login": CLERK, "password": "not the right one"}
        for _ in range(office.services.settings.login_attempts):
            refused(office.nobody.post("/v1/sessions", wrong), 401, "invalid-credentials")
        right = {"login": CLERK, "password": password_of(CLERK)}
        answer = office.nobody.post("/v1/sessions", right)
        refused(answer, 429, "account-locked")
        assert 0 < int(answer.headers["retry-after"]) <= 15 * 60 + 1

        admin = office.login(ADMINISTRATOR)
        accounts = admin.read("/v1/accounts")["items"]
        (locked,) = [item for item in accounts if item["locked_until"]]
        assert locked["login"] == CLERK
        shown = admin.read(f"/v1/accounts/{locked['id']}")
        assert shown["locked_until"] == locked["locked_until"]
        unlocked = answered(admin.post(f"/v1/accounts/{locked['id']}/unlock"), 200)
        assert unlocked["locked_until"] is None
        answered(office.nobody.post("/v1/sessions", right), 201)

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"login": "a"}, "/password"),
            ({"login": "a", "password": 12}, "/password"),
            ({"login": ["a"], "password": "x"}, "/login"),
            ({"login": "a", "password": "x", "remember": True}, "/remember"),
            ({"login": "a", "password": "x" * 1001}, "/password"),
            ([], "/"),
        ],
    )
    def test_what_is_no_credentials_is_refused_with_its_place(
        self, shared_office: Office, body: Any, pointer: str
    ) -> None:
        problem = refused(shared_office.nobody.post("/v1/sessions", body), 422, "invalid-input")
        assert problem["errors"][0]["pointer"] == pointer
        assert "x" * 1001 not in str(problem)

    def test_what_is_no_json_is_malformed(self, shared_office: Office) -> None:
        answer = shared_office.nobody.request(
            "POST",
            "/v1/sessions",
            content=b'{"login": ',
            headers={"Content-Type": "application/json"},
        )
        refused(answer, 400, "malformed-json")

    def test_signing_out_ends_the_session_at_once(self, any_office: Office) -> None:
        door, other = any_office.session(HEAD), any_office.session(HEAD)
        answered(door.delete("/v1/sessions/current"), 204)
        refused(door.get("/v1/me"), 401, "invalid-token")
        assert other.read("/v1/me")["login"] == HEAD
        refused(door.delete("/v1/sessions/current"), 401, "invalid-token")

    def test_an_api_key_has_no_session_to_end(self, office: Office) -> None:
        key = office.key(SYSTEM, "documents:read")
        refused(key.delete("/v1/sessions/current"), 403, "not-a-session")
        assert key.read("/v1/me")["scopes"] == ["documents:read"]

    def test_a_session_expires(self, office: Office, clock: ManualClock) -> None:
        door = office.login(HEAD)
        clock.advance(timedelta(hours=9))
        refused(door.get("/v1/me"), 401, "session-expired")

    @pytest.mark.parametrize(
        "header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer dfs_short", "Bearer ä"]
    )
    def test_without_a_token_nobody_is_asking(
        self, shared_office: Office, header: str | None
    ) -> None:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        answer = shared_office.client.get("/v1/me", headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert answer.json()["code"] in {"unauthenticated", "invalid-token"}
        assert answer.headers["www-authenticate"]


class TestPassword:
    def test_a_new_password_ends_every_other_session(self, any_office: Office) -> None:
        door, other = any_office.session(HEAD), any_office.session(HEAD)
        body = {"old_password": password_of(HEAD), "new_password": GOOD}
        answered(door.put("/v1/me/password", body), 204)
        assert door.read("/v1/me")["login"] == HEAD
        refused(other.get("/v1/me"), 401, "invalid-token")
        old = {"login": HEAD, "password": password_of(HEAD)}
        refused(any_office.nobody.post("/v1/sessions", old), 401, "invalid-credentials")
        answered(any_office.nobody.post("/v1/sessions", old | {"password": GOOD}), 201)

    def test_it_needs_the_old_one(self, office: Office) -> None:
        body = {"old_password": "not the old one", "new_password": GOOD}
        refused(office.login(HEAD).put("/v1/me/password", body), 401, "invalid-credentials")

    @pytest.mark.parametrize("weak", ["short", "123456789012", HEAD, "a" * 129])
    def test_a_weak_one_is_refused_and_not_repeated(self, shared_office: Office, weak: str) -> None:
        body = {"old_password": password_of(HEAD), "new_password": weak}
        answer = shared_office.login(HEAD).put("/v1/me/password", body)
        problem = refused(answer, 422, "weak-password")
        assert problem["errors"][0]["pointer"] == "/new_password"
        assert weak not in problem["detail"]

    def test_a_system_has_none(self, office: Office) -> None:
        body = {"old_password": "x", "new_password": GOOD}
        key = office.key(SYSTEM, "documents:read")
        problem = refused(key.put("/v1/me/password", body), 403, "forbidden")
        assert problem["rule"] == "own-password"
