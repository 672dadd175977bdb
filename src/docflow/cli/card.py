"""`docflow sign-session` and `docflow prove-certificate`: a card's software, for a PKCS#11 token.

It needs no instance here, only the service's address: the reference for whoever writes such a client.
"""

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from docflow.cli.output import CONSOLE, fail
from docflow.kernel.text import shown

if TYPE_CHECKING:
    from docflow.cli.card_client import Opened
    from docflow.signing.token import SigningToken

_Server = Annotated[str, typer.Option("--server", help="https://… of the service.")]
_Login = Annotated[str, typer.Option("--login", help="Your login.")]
_Password = Annotated[
    Path | None, typer.Option("--password-file", help="Holds your password; else it is asked for.")
]
_Module = Annotated[Path, typer.Option("--module", help="The card's PKCS#11 library.")]
_Token = Annotated[str, typer.Option("--token", help="The card's label.")]
_Key = Annotated[str, typer.Option("--key", help="Label of key and certificate on the card.")]
_Pin = Annotated[
    Path | None, typer.Option("--pin-file", help="Holds the card's PIN; else it is asked for.")
]
_Ca = Annotated[Path | None, typer.Option("--ca-file", help="PEM roots of the service's TLS.")]

_CARD_SECONDS = 300.0  # a reader may ask its owner to press a key


def sign_session(
    server: _Server,
    login: _Login,
    module: _Module,
    token: _Token,
    key: _Key,
    document: Annotated[
        str | None, typer.Option("--document", help="Ask for a session on this document.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Answer this session, asked for before.")
    ] = None,
    trigger: Annotated[str, typer.Option("--trigger", help="The transition that signs.")] = "sign",
    mandate: Annotated[
        str | None, typer.Option("--mandate", help="Sign under this mandate of yours.")
    ] = None,
    password_file: _Password = None,
    pin_file: _Pin = None,
    ca_file: _Ca = None,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to watch what becomes of the answer.")
    ] = 120.0,
) -> None:
    """Sign a document with the key on your own card.

    Ends with 1 if nothing was signed, the answer was refused, or the service failed with it; with 0 once
    the answer is taken, also if the service still works on it (--session looks again).
    """
    from docflow.cli.card_client import sign_in

    if (document is None) == (session is None):
        fail("Name a --document to be signed, or a --session to be answered; one of the two.")
    service = sign_in(server, login, _secret("password", password_file), ca_file)
    card = _Card(module, token, pin_file, key)
    if document is not None:
        card.certificate()  # what is wrong with card, PIN or key is told before a session is opened
    asked = session or service.ask(str(document), trigger, mandate)
    offered = service.offered(asked)
    if offered["state"] != "ready":
        CONSOLE.print("The session was answered before; nothing is signed again.", markup=False)
    else:
        with service.given_up_unless_signed(asked, mine=document is not None) as opened:
            made = _made(offered, card, opened, yes=yes)
        service.hand_over(asked, made)
        CONSOLE.print(
            f"The service took the answer; files signed by the card: {len(made)}.", markup=False
        )
    _tell(offered, service.followed(asked, wait))


class _Card:
    """The card as it is named on the command line; opened when it is first needed."""

    def __init__(self, module: Path, token: str, pin_file: Path | None, key: str) -> None:
        self._named = (module, token, pin_file)
        self._key = key
        self._token: SigningToken | None = None

    def _opened(self) -> "SigningToken":
        if self._token is None:
            self._token = _open(*self._named)
        return self._token

    def certificate(self) -> str:
        """Return the SHA-256 of the certificate beside the key."""
        from docflow.cli.card_client import card_certificate

        return card_certificate(self._opened(), self._key)

    def sign(self, name: str, data: bytes) -> bytes:
        """Sign with the key."""
        return self._opened().sign(self._key, name, data)

    def close(self) -> None:
        """Log out of the card, if it was opened."""
        if self._token is not None:
            self._token.close()


def _made(offered: dict[str, Any], card: _Card, opened: "Opened", *, yes: bool) -> dict[str, str]:
    """Show what a session offers, have the card sign it, and close the card."""
    from docflow.cli.card_client import signatures

    _show(offered)
    if not yes and not sys.stdin.isatty():
        opened.mine = False
        fail(
            "Nobody is there to agree, and nothing was signed. Look at it, then repeat with "
            f"--session {offered['id']} --yes instead of --document."
        )
    if not yes and not typer.confirm("Sign this?", default=False, err=True):
        opened.mine = True  # whoever declines gives it up, wherever it was asked for
        fail("Nothing was signed.")
    try:
        return signatures(offered, card.sign, card.certificate())
    finally:
        card.close()


def _tell(offered: dict[str, Any], seen: dict[str, Any] | None) -> None:
    """Say what became of an answer that the service took."""
    name = offered["document"]["symbol"] or offered["document"]["id"]
    if seen is not None and seen["state"] == "done":
        CONSOLE.print(f"Signed: {name}", markup=False)
        return
    if seen is not None and seen["state"] not in ("ready", "answered"):
        fail(
            f"{name} was not signed, the session is {seen['state']}: {seen['error'] or 'no reason told'}"
        )
    why = f" It waits: {seen['error']}" if seen is not None and seen["error"] else ""
    CONSOLE.print(
        f"{name} is not signed yet; the service goes on by itself, and asks the card no more.{why}\n"
        f"Look again with --session {offered['id']}.",
        markup=False,
        soft_wrap=True,
    )


def _to_be_proved(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a certificate that waits for its proof, None if it had it; fail if none would help."""
    if found is None:
        fail("The certificate on the card is not proposed; have an administrator enrol it.")
    if found["state"] in ("revoked", "replaced"):
        fail(
            f"The certificate on the card was {found['state']} and stays so; have an administrator "
            "enrol another."
        )
    return found if found["state"] == "proposed" else None


def prove_certificate(
    server: _Server,
    login: _Login,
    module: _Module,
    token: _Token,
    key: _Key,
    password_file: _Password = None,
    pin_file: _Pin = None,
    ca_file: _Ca = None,
) -> None:
    """Prove to the service that the key of your enrolled certificate is on your card."""
    from docflow.cli.card_client import card_certificate, sign_in

    service = sign_in(server, login, _secret("password", password_file), ca_file)
    card = _open(module, token, pin_file)
    try:
        sha256 = card_certificate(card, key)
        person = service.call("GET", "/v1/me")["id"]
        address = f"/v1/people/{person}/certificates"
        listed = service.call("GET", address, params={"limit": 200})["items"]
        found = next((one for one in listed if one["sha256"] == sha256), None)
        proposed = _to_be_proved(found)
        if proposed is None:
            CONSOLE.print("The certificate on the card is enrolled already; nothing is left to do.")
            return
        proof = card.sign(key, _hash_of(card, key), proposed["challenge"].encode())
    finally:
        card.close()
    proved = service.call(
        "POST",
        f"{address}/{proposed['id']}/proof",
        json={"signature": base64.b64encode(proof).decode()},
    )
    CONSOLE.print(f"The certificate {proved['sha256'][:16]}… is {proved['state']}.", markup=False)


def _hash_of(card: "SigningToken", key: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec

    from docflow.signing.keysigner import CURVE_DIGESTS

    public = card.certificates()[key][0].public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        return CURVE_DIGESTS.get(public.curve.name, "sha256")
    return "sha256"


def _open(module: Path, token: str, pin_file: Path | None) -> "SigningToken":
    from docflow.signing.token import SigningToken, secret_from_file

    if pin_file is not None:
        return SigningToken(module, token, secret_from_file(pin_file), seconds=_CARD_SECONDS)
    pin = _secret("PIN", None)
    return SigningToken(module, token, lambda: (pin, 0), seconds=_CARD_SECONDS)


def _show(session: dict[str, Any]) -> None:
    """Print what is about to be signed."""
    document = session["document"]
    CONSOLE.print(
        shown(f"{document['symbol'] or '(no number)'}  {document['subject'] or ''}"), markup=False
    )
    if session["capacity"]:
        CONSOLE.print(shown(f"  signing as: {session['capacity']}"), markup=False)
    for item in session["files"]:
        where = "inside" if item["format"] == "PAdES" else "beside it"
        told = f"{item['media_type']}, {item['size']:,} bytes, signed {where}"
        CONSOLE.print(shown(f"  {item['role']}: {item['name'] or ''} ({told})"), markup=False)
        CONSOLE.print(f"    SHA-256 {item['document_sha256']}", markup=False)
    told = f"  session {session['id']}, the card must sign before {session['expires_at']}"
    CONSOLE.print(told, markup=False, soft_wrap=True)


def _secret(what: str, file: Path | None) -> str:
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{file} cannot be read ({type(error).__name__}).")
        if not lines:
            fail(f"{file} is empty.")
        return lines[0]
    if not sys.stdin.isatty():
        fail(f"Name a file with the {what}: --{what.lower()}-file.")
    return str(typer.prompt(f"Your {what}", hide_input=True, err=True))
