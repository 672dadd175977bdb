"""Sessions, units, people, accounts, recipients and API keys over HTTP: who may, and what is told."""

from datetime import timedelta
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from tests.api_support import Door, Office, answered, refused
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
    password_of,
)

NO_ID = "01a20212-f2b9-7451-9375-3bee70e477af"
GOOD = "một mật khẩu đủ dài"


@pytest.fixture
def admin(office: Office) -> Door:
    return office.login(ADMINISTRATOR)


@pytest.fixture
def asking(shared_office: Office) -> Door:
    """The administrator of the office that tests share."""
    return shared_office.login(ADMINISTRATOR)


def if_match(version: object) -> dict[str, str]:
    return {"If-Match": f'"{version}"'}


def once(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


# -- the whole of it ---------------------------------------------------------------------------------


def test_someone_new_is_added_works_and_leaves(any_office: Office) -> None:
    admin = any_office.login(ADMINISTRATOR)
    unit = answered(
        admin.post(
            "/v1/units",
            {"code": "VP-MT", "name": "Phòng Môi trường", "parent_id": any_office.unit("VP")["id"]},
        ),
        201,
    )
    office = {"unit_id": unit["id"], "role": "specialist"}
    person = answered(
        admin.post("/v1/people", {"login": "an.nv", "name": "Ngô Văn An", "offices": [office]}), 201
    )
    account = answered(
        admin.post("/v1/accounts", {"person_id": person["id"], "password": password_of("an.nv")}),
        201,
    )
    assert account["login"] == "an.nv"
    door = any_office.session("an.nv")
    assert door.read("/v1/me")["offices"] == [
        {
            "unit": {"id": unit["id"], "code": "VP-MT", "name": "Phòng Môi trường"},
            "role": "specialist",
        }
    ]
    posted = door.post_document(direction="outgoing", type="TTr", subject="Về quan trắc nước")
    assert posted["unit"]["code"] == "VP-MT"

    left = admin.post(f"/v1/people/{person['id']}/deactivate", headers=if_match(person["version"]))
    assert answered(left, 200)["active"] is False
    refused(door.get("/v1/me"), 401, "invalid-token")
    again = any_office.nobody.post(
        "/v1/sessions", {"login": "an.nv", "password": password_of("an.nv")}
    )
    refused(again, 401, "invalid-credentials")


ADMINISTRATION = [
    ("POST", "/v1/units", {"code": "X", "name": "X"}),
    ("PATCH", f"/v1/units/{NO_ID}", {"name": "X"}),
    ("POST", "/v1/people", {"login": "x", "name": "X"}),
    ("PATCH", f"/v1/people/{NO_ID}", {"name": "X"}),
    ("POST", f"/v1/people/{NO_ID}/deactivate", None),
    ("POST", f"/v1/people/{NO_ID}/activate", None),
    ("POST", f"/v1/people/{NO_ID}/offices", {"unit_id": NO_ID, "role": "clerk"}),
    ("DELETE", f"/v1/people/{NO_ID}/offices/{NO_ID}/clerk", None),
    ("GET", "/v1/accounts", None),
    ("POST", "/v1/accounts", {"person_id": NO_ID, "password": GOOD}),
    ("GET", f"/v1/accounts/{NO_ID}", None),
    ("PUT", f"/v1/accounts/{NO_ID}/password", {"new_password": GOOD}),
    ("POST", f"/v1/accounts/{NO_ID}/unlock", None),
    ("POST", f"/v1/accounts/{NO_ID}/deactivate", None),
    ("POST", f"/v1/accounts/{NO_ID}/activate", None),
    ("PATCH", f"/v1/recipients/{NO_ID}", {"name": "X"}),
    ("GET", "/v1/api-keys", None),
    ("POST", "/v1/api-keys", {"name": "x", "scopes": ["inbox:read"], "person_id": NO_ID}),
    ("GET", f"/v1/api-keys/{NO_ID}", None),
    ("POST", f"/v1/api-keys/{NO_ID}/revoke", None),
]
READING = [
    f"/v1/{what}{one}" for what in ("units", "people", "recipients") for one in ("", f"/{NO_ID}")
]


def test_administration_is_for_administrators_alone(office: Office) -> None:
    everyone_else = [office.login(who) for who in (CLERK, HEAD, LEADER, AUDITOR, RECIPIENT)]
    everyone_else.append(office.key(ADMINISTRATOR, "directory:read", "recipients:add"))
    for method, url, body in ADMINISTRATION:
        for door in everyone_else:
            answer = door.request(method, url, json=body, headers=if_match(1))
            problem = refused(answer, 403, "forbidden")
            assert problem["rule"], (method, url)
            assert problem["satisfied_by"], (method, url)
        answer = office.nobody.request(method, url, json=body, headers=if_match(1))
        refused(answer, 401, "unauthenticated")


@pytest.mark.parametrize(("method", "url", "body"), [a for a in ADMINISTRATION if NO_ID in a[1]])
def test_what_does_not_exist_is_not_found(
    shared_office: Office, method: str, url: str, body: dict[str, Any] | None
) -> None:
    answer = shared_office.login(ADMINISTRATOR).request(method, url, json=body, headers=if_match(1))
    refused(answer, 404, "not-found")


@pytest.mark.parametrize("url", READING)
def test_the_directory_is_for_those_inside(shared_office: Office, url: str) -> None:
    refused(shared_office.nobody.get(url), 401, "unauthenticated")
    assert refused(shared_office.login(RECIPIENT).get(url), 403, "forbidden")["satisfied_by"]
    narrow = shared_office.key(SYSTEM, "documents:create")
    assert refused(narrow.get(url), 403, "forbidden")["rule"] == "key-scope"
    wide = shared_office.key(SYSTEM, "directory:read")
    assert wide.get(url).status_code == (404 if NO_ID in url else 200)


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


# -- units -------------------------------------------------------------------------------------------


class TestUnits:
    def test_the_tree_is_read_page_by_page(self, any_office: Office) -> None:
        door = any_office.login(SPECIALIST)
        everything = [unit["code"] for unit in door.read("/v1/units")["items"]]
        assert len(everything) == 7
        seen: list[str] = []
        url: str | None = "/v1/units?limit=3"
        while url is not None:
            answer = door.get(url)
            page = answered(answer, 200)
            seen += [unit["code"] for unit in page["items"]]
            url = answer.links["next"]["url"] if "next" in answer.links else None
            assert (url is None) == (page["next_cursor"] is None)
        assert seen == everything

    @pytest.mark.parametrize("cursor", ["x", "%00", "ä", "MDE", "a" * 500])
    def test_a_cursor_of_no_list_is_refused(self, shared_office: Office, cursor: str) -> None:
        answer = shared_office.login(CLERK).get("/v1/units", cursor=cursor)
        assert answer.status_code == 422

    @pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5"])
    def test_a_page_has_1_to_200(self, shared_office: Office, limit: str) -> None:
        problem = refused(
            shared_office.login(CLERK).get("/v1/units", limit=limit), 422, "invalid-input"
        )
        assert problem["errors"][0]["pointer"] == "query:limit"

    def test_a_unit_is_renamed_from_the_version_that_was_seen(self, any_office: Office) -> None:
        admin = any_office.login(ADMINISTRATOR)
        unit = any_office.unit("VP-TC")
        url = f"/v1/units/{unit['id']}"
        seen = admin.get(url)
        assert seen.headers["etag"] == '"1"'
        renamed = admin.patch(url, {"name": "Phòng Tài chính - Kế hoạch"}, version=1)
        assert answered(renamed, 200)["name"] == "Phòng Tài chính - Kế hoạch"
        assert renamed.headers["etag"] == '"2"'
        refused(admin.patch(url, {"name": "X"}, version=1), 412, "stale-version")
        refused(admin.patch(url, {"name": "X"}), 428, "version-required")
        for wrong in ("2", '"2", "3"', 'W/"2"', "*"):
            answer = admin.request("PATCH", url, json={"name": "X"}, headers={"If-Match": wrong})
            assert answer.status_code in (400, 412), wrong
        assert admin.read(url)["version"] == 2

    def test_a_unit_does_not_lie_below_itself(self, office: Office, admin: Door) -> None:
        top, below = office.unit("VP-HC"), office.unit("VP-VT")
        answer = admin.patch(f"/v1/units/{top['id']}", {"parent_id": below["id"]}, version=1)
        refused(answer, 409, "unit-circle")

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"code": "VP-TC", "name": "X"}, 409, "code-taken"),
            ({"code": "NEW", "name": "X", "parent_id": None}, 409, "second-root"),
            ({"code": "NEW", "name": "X", "parent_id": NO_ID}, 404, "not-found"),
            ({"code": "not a code", "name": "X"}, 422, "invalid-input"),
            ({"code": "NEW", "name": ""}, 422, "invalid-input"),
            ({"code": "NEW", "name": "a\nb"}, 422, "invalid-input"),
            ({"code": "NEW", "name": "a\x00b"}, 422, "invalid-input"),
            ({"code": "NEW", "name": "x" * 400}, 422, "invalid-input"),
            ({"code": "NEW", "name": "X", "id": NO_ID}, 422, "invalid-input"),
        ],
    )
    def test_a_unit_that_cannot_be_is_refused(
        self, shared_office: Office, asking: Door, body: dict[str, Any], status: int, code: str
    ) -> None:
        top = shared_office.unit("VP")["id"]
        before = asking.read("/v1/units")
        refused(asking.post("/v1/units", {"parent_id": top} | body), status, code)
        assert asking.read("/v1/units") == before


# -- people ------------------------------------------------------------------------------------------


class TestPeople:
    def test_people_are_found_by_login_unit_and_role(self, any_office: Office) -> None:
        door = any_office.login(CLERK)

        def logins(**filters: Any) -> set[str]:
            page = door.read("/v1/people", **filters)
            return {person["login"] for person in page["items"]}

        assert logins(login=HEAD) == {HEAD}
        assert logins(kind="system") == {SYSTEM, "phan-mem-ke-toan"}
        assert logins(role="leader") == {LEADER, "mai.bt"}
        assert logins(unit_id=any_office.unit("VP-TH")["id"]) == {SPECIALIST, HEAD}
        assert logins(active=False) == set()

    @pytest.mark.parametrize(
        "query", [{"role": "king"}, {"kind": "robot"}, {"active": "perhaps"}, {"unit_id": "VP"}]
    )
    def test_a_wrong_filter_is_refused(self, shared_office: Office, query: dict[str, str]) -> None:
        refused(shared_office.login(CLERK).get("/v1/people", **query), 422, "invalid-input")

    def test_offices_are_granted_and_revoked_with_effect_at_once(self, any_office: Office) -> None:
        admin, door = any_office.login(ADMINISTRATOR), any_office.login(SPECIALIST)
        person, unit = any_office.person(SPECIALIST), any_office.unit("VP-TC")
        url = f"/v1/people/{person['id']}/offices"
        office = {"unit_id": unit["id"], "role": "specialist"}
        granted = admin.post(url, office, headers=if_match(person["version"]))
        assert office in answered(granted, 200)["offices"]
        assert len(door.read("/v1/me")["offices"]) == 2
        refused(admin.post(url, office, headers=if_match(1)), 412, "stale-version")
        refused(admin.post(url, office), 428, "version-required")

        gone = admin.delete(f"{url}/{unit['id']}/specialist", version=2)
        assert office not in answered(gone, 200)["offices"]
        assert gone.headers["etag"] == '"3"'
        assert len(door.read("/v1/me")["offices"]) == 1

    def test_administrators_are_not_readers(self, shared_office: Office, asking: Door) -> None:
        clerk = shared_office.person(CLERK)
        body = {"unit_id": shared_office.unit("VP")["id"], "role": "administrator"}
        answer = asking.post(f"/v1/people/{clerk['id']}/offices", body, headers=if_match(1))
        refused(answer, 409, "separation-of-duties")

    def test_the_last_administrator_stays(self, shared_office: Office, asking: Door) -> None:
        me = shared_office.person(ADMINISTRATOR)
        answer = asking.post(f"/v1/people/{me['id']}/deactivate", headers=if_match(1))
        refused(answer, 409, "last-administrator")

    def test_a_person_is_renamed_and_let_in_again(self, office: Office, admin: Door) -> None:
        url = f"/v1/people/{office.person(HEAD)['id']}"
        assert answered(admin.patch(url, {"name": "Trần Dũng"}, version=1), 200)["version"] == 2
        answered(admin.post(f"{url}/deactivate", headers=if_match(2)), 200)
        back = answered(admin.post(f"{url}/activate", headers=if_match(3)), 200)
        assert (back["active"], back["name"], back["version"]) == (True, "Trần Dũng", 4)
        assert office.session(HEAD).read("/v1/me")["name"] == "Trần Dũng"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"login": CLERK, "name": "X"}, 409, "login-taken"),
            ({"login": "Not A Login", "name": "X"}, 422, "invalid-input"),
            ({"login": "x", "name": "X", "kind": "robot"}, 422, "invalid-input"),
            ({"login": "x", "name": "X", "offices": [{"unit_id": NO_ID}]}, 422, "invalid-input"),
            (
                {"login": "x", "name": "X", "offices": [{"unit_id": NO_ID, "role": "clerk"}]},
                404,
                "not-found",
            ),
        ],
    )
    def test_a_person_that_cannot_be_is_refused(
        self, asking: Door, body: dict[str, Any], status: int, code: str
    ) -> None:
        before = asking.read("/v1/people")
        refused(asking.post("/v1/people", body), status, code)
        assert asking.read("/v1/people") == before


# -- accounts ----------------------------------------------------------------------------------------


class TestAccounts:
    def test_an_administrator_gives_a_new_password(self, any_office: Office) -> None:
        admin, door = any_office.login(ADMINISTRATOR), any_office.login(HEAD)
        (account,) = [a for a in admin.read("/v1/accounts")["items"] if a["login"] == HEAD]
        url = f"/v1/accounts/{account['id']}"
        reset = admin.put(f"{url}/password", {"new_password": GOOD})
        assert answered(reset, 200)["version"] == account["version"] + 1
        refused(door.get("/v1/me"), 401, "invalid-token")
        answered(any_office.nobody.post("/v1/sessions", {"login": HEAD, "password": GOOD}), 201)

    def test_a_deactivated_account_lets_nobody_in(self, office: Office, admin: Door) -> None:
        door = office.session(HEAD)
        (account,) = [a for a in admin.read("/v1/accounts")["items"] if a["login"] == HEAD]
        url = f"/v1/accounts/{account['id']}"
        version = account["version"]
        refused(admin.post(f"{url}/deactivate"), 428, "version-required")
        closed = admin.post(f"{url}/deactivate", headers=if_match(version))
        assert answered(closed, 200)["active"] is False
        refused(door.get("/v1/me"), 401, "invalid-token")
        refused(admin.post(f"{url}/activate", headers=if_match(version)), 412, "stale-version")
        answered(admin.post(f"{url}/activate", headers=if_match(version + 1)), 200)
        office.session(HEAD)

    def test_a_recipient_gets_an_account(self, office: Office, admin: Door) -> None:
        recipient = office.recipient("CD-AN")
        body = {"recipient_id": recipient["id"], "login": "ong.an", "password": GOOD}
        # the sample office gave an account to every external recipient already
        refused(admin.post("/v1/accounts", body), 409, "account-exists")
        body = {"code": "CD-BINH", "name": "Bà Lê Thị Bình", "kind": "person", "external": True}
        new = answered(admin.post("/v1/recipients", body), 201)
        body = {"recipient_id": new["id"], "login": "ba.binh", "password": GOOD}
        account = answered(admin.post("/v1/accounts", body), 201)
        assert (account["login"], account["recipient_id"]) == ("ba.binh", new["id"])
        answered(office.nobody.post("/v1/sessions", {"login": "ba.binh", "password": GOOD}), 201)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"password": GOOD}, "invalid-input"),
            ({"person_id": NO_ID, "recipient_id": NO_ID, "password": GOOD}, "invalid-input"),
            ({"person_id": NO_ID}, "invalid-input"),
        ],
    )
    def test_an_account_has_exactly_one_owner_and_a_password(
        self, asking: Door, body: dict[str, Any], code: str
    ) -> None:
        refused(asking.post("/v1/accounts", body), 422, code)

    def test_a_system_has_no_account(self, shared_office: Office, asking: Door) -> None:
        body = {"person_id": shared_office.person(SYSTEM)["id"], "password": GOOD}
        refused(asking.post("/v1/accounts", body), 422, "invalid-input")

    def test_a_weak_password_is_refused(self, office: Office, admin: Door) -> None:
        body = {"code": "N", "name": "N", "kind": "person", "external": True}
        new = answered(admin.post("/v1/recipients", body), 201)
        body = {"recipient_id": new["id"], "login": "somebody", "password": "password1234"}
        problem = refused(admin.post("/v1/accounts", body), 422, "weak-password")
        assert problem["errors"][0]["pointer"] == "/password"


# -- recipients --------------------------------------------------------------------------------------


class TestRecipients:
    def test_a_clerk_adds_one_and_an_administrator_changes_it(self, any_office: Office) -> None:
        clerk, admin = any_office.login(CLERK), any_office.login(ADMINISTRATOR)
        body = {"code": "SGD", "name": "Sở Giáo dục", "kind": "organisation", "external": True}
        added = clerk.post("/v1/recipients", body)
        new = answered(added, 201)
        assert added.headers["location"] == f"/v1/recipients/{new['id']}"
        assert clerk.read("/v1/recipients", code="SGD")["items"] == [new]
        refused(clerk.patch(added.headers["location"], {"active": False}, 1), 403, "forbidden")
        changed = admin.patch(added.headers["location"], {"active": False}, version=1)
        assert answered(changed, 200)["active"] is False
        assert clerk.read(added.headers["location"]) == changed.json()
        assert clerk.read("/v1/recipients", active=False)["items"] == [changed.json()]

    def test_a_specialist_adds_none(self, shared_office: Office) -> None:
        body = {"code": "SGD", "name": "Sở Giáo dục", "kind": "organisation", "external": True}
        problem = refused(
            shared_office.login(SPECIALIST).post("/v1/recipients", body), 403, "forbidden"
        )
        assert problem["satisfied_by"] == "Hold the office of clerk or administrator."

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"code": "STC"}, 409, "code-taken"),
            ({"kind": "robot"}, 422, "invalid-input"),
            ({"external": "perhaps"}, 422, "invalid-input"),
            ({"external": True, "unit_id": NO_ID}, 422, "invalid-input"),
            ({"unit_id": NO_ID}, 404, "not-found"),
        ],
    )
    def test_one_that_cannot_be_is_refused(
        self, shared_office: Office, change: dict[str, Any], status: int, code: str
    ) -> None:
        body = {"code": "NB-X", "name": "X", "kind": "organisation", "external": False}
        refused(shared_office.login(CLERK).post("/v1/recipients", body | change), status, code)


# -- API keys ----------------------------------------------------------------------------------------


class TestApiKeys:
    def test_a_key_works_until_it_is_revoked(self, any_office: Office) -> None:
        admin = any_office.login(ADMINISTRATOR)
        owner = any_office.person(SYSTEM)
        body = {
            "name": "cổng dịch vụ công",
            "person_id": owner["id"],
            "scopes": ["documents:read", "documents:create"],
            "expires_at": "2026-04-01T00:00:00+07:00",
        }
        made = answered(admin.post("/v1/api-keys", body), 201)
        assert made["scopes"] == ["documents:create", "documents:read"]
        assert made["expires_at"] == "2026-03-31T17:00:00Z"
        door = Door(any_office.client, made["token"])
        assert door.read("/v1/me")["kind"] == "system"
        shown = admin.read(f"/v1/api-keys/{made['id']}")
        assert "token" not in shown
        assert shown in admin.read("/v1/api-keys")["items"]
        revoked = answered(admin.post(f"/v1/api-keys/{made['id']}/revoke"), 200)
        assert revoked["revoked_at"] == "2026-03-02T01:30:00Z"
        refused(door.get("/v1/me"), 401, "invalid-token")
        assert answered(admin.post(f"/v1/api-keys/{made['id']}/revoke"), 200) == revoked

    def test_a_key_expires(self, office: Office, admin: Door, clock: ManualClock) -> None:
        body = {
            "name": "x", "person_id": office.person(SYSTEM)["id"], "scopes": ["documents:read"],
            "expires_at": "2026-03-02T09:00:00Z",
        }  # fmt: skip
        door = Door(office.client, answered(admin.post("/v1/api-keys", body), 201)["token"])
        assert door.read("/v1/me")["login"] == SYSTEM
        clock.advance(timedelta(hours=8))
        refused(door.get("/v1/me"), 401, "key-expired")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"scopes": []}, "invalid-input"),
            ({"scopes": ["documents:everything"]}, "invalid-input"),
            ({"scopes": "documents:read"}, "invalid-input"),
            ({"name": ""}, "invalid-input"),
            ({"recipient_id": NO_ID}, "invalid-input"),
            ({"person_id": None}, "invalid-input"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid-input"),
            ({"expires_at": "2027-01-01T00:00:00"}, "invalid-input"),
            ({"expires_at": "9999-12-31T23:59:59-14:00"}, "invalid-input"),
        ],
    )
    def test_a_key_that_cannot_be_is_refused(
        self, shared_office: Office, asking: Door, change: dict[str, Any], code: str
    ) -> None:
        owner = shared_office.person(SYSTEM)["id"]
        body = {"name": "x", "person_id": owner, "scopes": ["inbox:read"]}
        before = asking.read("/v1/api-keys")
        refused(asking.post("/v1/api-keys", body | change), 422, code)
        assert asking.read("/v1/api-keys") == before


# -- requests that are repeated ----------------------------------------------------------------------


CREATIONS: dict[str, dict[str, Any]] = {
    "/v1/units": {"code": "NEW", "name": "Mới"},
    "/v1/people": {"login": "new", "name": "Mới"},
    "/v1/recipients": {"code": "N", "name": "N", "kind": "person", "external": True},
    "/v1/accounts": {"login": "newcomer", "password": GOOD},
    "/v1/api-keys": {"name": "new", "scopes": ["inbox:read"]},
}


def creation(office: Office, url: str) -> dict[str, Any]:
    body = dict(CREATIONS[url])
    if url == "/v1/units":
        body["parent_id"] = office.unit("VP")["id"]
    if url == "/v1/accounts":
        recipient = {"code": "Q", "name": "Q", "kind": "person", "external": True}
        made = office.login(ADMINISTRATOR).post("/v1/recipients", recipient)
        body["recipient_id"] = answered(made, 201)["id"]
    if url == "/v1/api-keys":
        body["person_id"] = office.person(SYSTEM)["id"]
    return body


@pytest.mark.parametrize("url", sorted(CREATIONS))
class TestRepeated:
    def test_a_repeated_creation_is_carried_out_once(self, any_office: Office, url: str) -> None:
        admin, body = any_office.login(ADMINISTRATOR), creation(any_office, url)
        before = len(admin.read(url)["items"])
        first = admin.post(url, body, headers=once("same"))
        second = admin.post(url, body, headers=once("same"))
        made, again = answered(first, 201), answered(second, 201)
        assert made.pop("token", "") != again.pop("token", "") or url != "/v1/api-keys"
        assert again == made
        assert second.headers["location"] == first.headers["location"] == f"{url}/{made['id']}"
        assert len(admin.read(url)["items"]) == before + 1

    def test_a_key_of_another_request_is_refused(self, office: Office, url: str) -> None:
        admin, body = office.login(ADMINISTRATOR), creation(office, url)
        answered(admin.post(url, body, headers=once("same")), 201)
        other = body | {"login" if "login" in body else "name": "another"}
        refused(admin.post(url, other, headers=once("same")), 422, "idempotency-key-reused")

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
    def test_a_key_has_a_form(self, office: Office, url: str, key: str) -> None:
        admin, body = office.login(ADMINISTRATOR), creation(office, url)
        problem = refused(admin.post(url, body, headers=once(key)), 422, "invalid-input")
        assert problem["errors"][0]["pointer"] == "header:idempotency-key"


def test_a_repeated_key_creation_never_tells_the_secret_again(any_office: Office) -> None:
    admin, body = any_office.login(ADMINISTRATOR), creation(any_office, "/v1/api-keys")
    token = answered(admin.post("/v1/api-keys", body, headers=once("k")), 201)["token"]
    again = answered(admin.post("/v1/api-keys", body, headers=once("k")), 201)
    assert again["token"] is None
    (remembered,) = any_office.instance.rows("idempotency_keys")
    assert remembered["result"] == again["id"]
    assert token not in str(remembered)


def test_a_password_is_not_in_what_is_remembered(office: Office, admin: Door) -> None:
    body = creation(office, "/v1/accounts")
    answered(admin.post("/v1/accounts", body, headers=once("a")), 201)
    other = body | {"password": "another password altogether"}
    # the stored fingerprint does not depend on the password, so nobody can try passwords on it
    answered(admin.post("/v1/accounts", other, headers=once("a")), 201)
    given = {"login": "newcomer", "password": GOOD}
    answered(office.nobody.post("/v1/sessions", given), 201)
