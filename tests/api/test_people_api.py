"""Units, people and their offices over HTTP: who may, and what is told."""

from typing import Any

import pytest

from tests.api_support import GOOD, NO_ID, Door, Office, answered, if_match, refused
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
