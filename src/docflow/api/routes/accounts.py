"""/v1/accounts: who may sign in with a password; for administrators."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey, IfMatch, etag, required_version
from docflow.api.once import once
from docflow.api.routes.sessions import Password
from docflow.api.schemas.common import Input, Name, Output
from docflow.people.views import Account

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


class AccountIn(Input):
    """An account to be made, for a person or for a recipient."""

    person_id: Name | None = None
    recipient_id: Name | None = None
    login: Name | None = Field(None, description="Of a recipient; a person has a login already.")
    password: Password = Field(description="12 to 128 characters, not a common one.")


class NewPassword(Input):
    """A password that an administrator gives."""

    new_password: Password = Field(description="12 to 128 characters, not a common one.")


class AccountOut(Output):
    """A local account, without its password."""

    id: str
    login: str
    person_id: str | None
    recipient_id: str | None
    active: bool
    locked_until: datetime | None = Field(description="Locked out after wrong passwords.")
    version: int

    @classmethod
    def of(cls, account: Account) -> "AccountOut":
        """Build from the people room's answer."""
        return cls(**{name: getattr(account, name) for name in cls.model_fields})


class AccountPage(Output):
    """A page of accounts, oldest first."""

    items: list[AccountOut]
    next_cursor: str | None


def _answer(response: Response, account: Account) -> AccountOut:
    response.headers["ETag"] = etag(account.version)
    return AccountOut.of(account)


@router.get("", response_model=AccountPage, summary="List accounts")
def list_accounts(
    request: Request,
    response: Response,
    caller: CallerDep,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> AccountPage:
    """List the accounts, oldest first, with who is locked out now."""
    page = caller.services.accounts.list(
        caller.actor, cursor=pagination.decode(cursor), limit=limit
    )
    following = pagination.follow(request, response, page.next_cursor)
    return AccountPage(items=[AccountOut.of(one) for one in page.items], next_cursor=following)


@router.post("", status_code=201, response_model=AccountOut, summary="Create an account")
def post_account(
    wanted: AccountIn, response: Response, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> AccountOut:
    """Create the account of a person or of a recipient."""
    claim, earlier = once(caller, idempotency_key, wanted, secrets=("password",))
    if earlier is not None:
        account = caller.services.accounts.get(caller.actor, earlier)
    else:
        account = caller.services.accounts.create(
            caller.actor,
            password=wanted.password,
            person_id=wanted.person_id,
            recipient_id=wanted.recipient_id,
            login=wanted.login,
            claim=claim,
        )
    response.headers["Location"] = f"/v1/accounts/{account.id}"
    return _answer(response, account)


@router.get("/{account_id}", response_model=AccountOut, summary="Read an account")
def get_account(account_id: Name, response: Response, caller: CallerDep) -> AccountOut:
    """Read an account."""
    return _answer(response, caller.services.accounts.get(caller.actor, account_id))


@router.put("/{account_id}/password", response_model=AccountOut, summary="Reset a password")
def put_account_password(
    account_id: Name, given: NewPassword, response: Response, caller: CallerDep
) -> AccountOut:
    """Give an account a new password; its sessions and its lock-out end."""
    account = caller.services.accounts.reset_password(caller.actor, account_id, given.new_password)
    return _answer(response, account)


@router.post("/{account_id}/unlock", response_model=AccountOut, summary="End a lock-out")
def post_unlock(account_id: Name, response: Response, caller: CallerDep) -> AccountOut:
    """End the lock-out of an account; one that is not locked stays as it is."""
    return _answer(response, caller.services.accounts.unlock(caller.actor, account_id))


@router.post("/{account_id}/deactivate", response_model=AccountOut, summary="Deactivate")
def post_account_deactivate(
    account_id: Name, response: Response, caller: CallerDep, if_match: IfMatch = None
) -> AccountOut:
    """Deactivate an account; its sessions end at once."""
    version = required_version(if_match)
    account = caller.services.accounts.set_active(caller.actor, account_id, False, version=version)
    return _answer(response, account)


@router.post("/{account_id}/activate", response_model=AccountOut, summary="Activate again")
def post_account_activate(
    account_id: Name, response: Response, caller: CallerDep, if_match: IfMatch = None
) -> AccountOut:
    """Activate a deactivated account again."""
    version = required_version(if_match)
    account = caller.services.accounts.set_active(caller.actor, account_id, True, version=version)
    return _answer(response, account)
