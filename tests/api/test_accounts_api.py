"""Accounts, recipients and API keys over HTTP, and creations that are repeated."""

from datetime import timedelta
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from tests.api_support import GOOD, NO_ID, Door, Office, answered, if_match, once, refused
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    HEAD,
    SPECIALIST,
    SYSTEM,
)

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
