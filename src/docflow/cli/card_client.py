"""What a card's software does over HTTP: the part of a signing session on the person's own machine.

Rules:
- Nothing is signed on the service's word alone. The digest that is offered must be that of the signed
  attributes, these must vouch for the document's digest and for the card's certificate, and what is
  signed beside a file for its time and, where the hash is SHA-256, for the very digest that was shown.
- Once the service took an answer, nothing that goes wrong in watching it is a failure of the signature.
"""

import base64
import binascii
import hashlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from docflow.cli.output import fail, warn

if TYPE_CHECKING:
    from docflow.signing.token import SigningToken

_PREPARE_SECONDS = 120.0
_POLL_SECONDS = 0.3
_TRIES = 3
_OK = 300


@dataclass
class Opened:
    """A session that is open while the card signs.

    Attributes:
        mine: whether to give it up if nothing is signed: this command asked for it.
    """

    mine: bool


@dataclass(frozen=True)
class Service:
    """The service, as one person who signed in."""

    client: httpx2.Client

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Send a request and return its JSON; a refusal ends the command with the service's words."""
        try:
            answer = self.client.request(method, path, **more)
        except httpx2.TransportError as error:
            fail(f"The service does not answer ({type(error).__name__}).")
        return _understood(answer, path)

    def ask(self, document_id: str, trigger: str, mandate: str | None) -> str:
        """Ask for a session on a document as it is now, and return its id."""
        seen = self.call("GET", f"/v1/documents/{document_id}")
        asked = self.call(
            "POST",
            f"/v1/documents/{document_id}/signing-sessions",
            json={"trigger": trigger, "mandate": mandate},
            headers={"If-Match": f'"{seen["version"]}"'},
        )
        return str(asked["id"])

    @contextmanager
    def given_up_unless_signed(self, session_id: str, *, mine: bool) -> Iterator[Opened]:
        """Give up a session that was opened here if the command ends before the card has signed.

        Nobody would answer it any more, and it would hold its document until it is over.
        """
        opened = Opened(mine)
        try:
            yield opened
        except BaseException:
            if opened.mine:
                self._give_up(session_id)
            raise

    def _give_up(self, session_id: str) -> None:
        try:
            answer = self.client.delete(f"/v1/signing-sessions/{session_id}")
        except httpx2.TransportError:
            return
        if answer.status_code < _OK:
            warn("The session was given up; the document can be signed by asking anew.")

    def offered(self, session_id: str) -> dict[str, Any]:
        """Wait until a session is prepared, and return it; it may be answered already."""
        deadline = time.monotonic() + _PREPARE_SECONDS
        while True:
            session: dict[str, Any] = self.call("GET", f"/v1/signing-sessions/{session_id}")
            if session["state"] in ("ready", "answered", "done"):
                return session
            _require_alive(session)
            if time.monotonic() > deadline:
                fail(
                    f"The session {session_id} is still being prepared and nothing was signed; go on "
                    f"later with --session {session_id}."
                )
            time.sleep(_POLL_SECONDS)

    def hand_over(self, session_id: str, signatures: Mapping[str, str]) -> None:
        """Give the card's answer; a refusal ends the command with the service's words.

        A connection that is lost is tried again: the same answer twice is one answer to the service.
        """
        address = f"/v1/signing-sessions/{session_id}/signature"
        for _ in range(_TRIES):
            try:
                answer = self.client.put(address, json={"signatures": signatures})
            except httpx2.TransportError:
                time.sleep(_POLL_SECONDS)
                continue
            _understood(answer, address)
            return
        fail(
            "The service does not answer, and whether it took what the card signed is not known; see "
            f"with --session {session_id}."
        )

    def followed(self, session_id: str, seconds: float) -> dict[str, Any] | None:
        """Watch a session that was answered; return it when it ended, or as it was seen last, if it was.

        What goes wrong in watching is passed over: the service goes on without being watched.
        """
        deadline = time.monotonic() + seconds
        seen: dict[str, Any] | None = None
        while True:
            try:
                answer = self.client.get(f"/v1/signing-sessions/{session_id}")
                seen = answer.json() if answer.status_code < _OK else seen
            except (httpx2.TransportError, ValueError):
                pass
            ended = seen is not None and seen["state"] not in ("ready", "answered")
            if ended or time.monotonic() > deadline:
                return seen
            time.sleep(_POLL_SECONDS)


def _understood(answer: httpx2.Response, path: str) -> Any:
    """Return an answer's JSON; a refusal ends the command with the service's words."""
    try:
        body = answer.json()
    except ValueError:
        fail(f"{path} answered {answer.status_code} and no JSON; is this a docflow service?")
    if answer.status_code >= _OK:
        hint = f" {body['satisfied_by']}" if body.get("satisfied_by") else ""
        fail(f"{body.get('detail', 'refused')} ({body.get('code', answer.status_code)}){hint}")
    return body


def _require_alive(session: Mapping[str, Any]) -> None:
    if session["state"] in ("failed", "expired"):
        fail(f"The session is {session['state']}: {session['error'] or 'no reason told'}")


def sign_in(address: str, login: str, password: str, ca_file: Path | None) -> Service:
    """Sign in and return the service.

    Passwords cross the network encrypted only: plain http is for this machine alone.
    """
    url = httpx2.URL(address)
    if url.scheme != "https" and url.host not in ("127.0.0.1", "localhost", "::1"):
        fail(f"{address} is plain http to another machine; use https://….")
    trust: ssl.SSLContext | bool = True
    if ca_file is not None:
        try:
            trust = ssl.create_default_context(cafile=str(ca_file))
        except OSError as error:
            fail(f"{ca_file} cannot be read as PEM certificates ({error.strerror or error}).")
    client = httpx2.Client(base_url=address, timeout=60, verify=trust)
    service = Service(client)
    opened = service.call("POST", "/v1/sessions", json={"login": login, "password": password})
    client.headers["Authorization"] = f"Bearer {opened['token']}"
    return service


def signatures(
    session: Mapping[str, Any], sign: Callable[[str, bytes], bytes], certificate_sha256: str
) -> dict[str, str]:
    """Check what a session offers and return file id → base64 of its signature.

    Args:
        session: as the service gave it.
        sign: takes the name of a hash and the bytes to sign.
        certificate_sha256: of the certificate on the card.
    """
    if session["certificate"]["sha256"] != certificate_sha256:
        fail(
            f"The session is for the certificate {session['certificate']['sha256']}, and the card has "
            f"{certificate_sha256}."
        )
    name = session["algorithm"]["hash"]
    signed = {}
    for item in session["files"]:
        attributes = _checked(item, session, certificate_sha256)
        signed[item["file_id"]] = base64.b64encode(sign(name, attributes)).decode()
    return signed


def _checked(item: Mapping[str, Any], session: Mapping[str, Any], certificate_sha256: str) -> bytes:
    """Return the attributes to sign, if they are what the session says they are."""
    from asn1crypto import cms

    name, role = session["algorithm"]["hash"], item["role"]
    try:
        attributes = base64.b64decode(item["attributes"], validate=True)
        offered = base64.b64decode(item["digest"], validate=True)
        parsed = cms.CMSAttributes.load(attributes, strict=True)
        told = {attribute["type"].native: attribute["values"][0].native for attribute in parsed}
        bound = told["signing_certificate_v2"]["certs"][0]
        by_card = (bound["hash_algorithm"]["algorithm"], bound["cert_hash"].hex())
        digest = bytes.fromhex(item["document_digest"])
        signing_time = datetime.fromisoformat(session["signing_time"])
    except (binascii.Error, ValueError, TypeError, KeyError, IndexError):
        fail(f"What the service offers for {role} cannot be read; nothing was signed.")
    if hashlib.new(name, attributes).digest() != offered:
        fail(f"The digest offered for {role} is not its attributes'; nothing was signed.")
    if told.get("message_digest") != digest:
        fail(f"What is offered for {role} vouches for another file; nothing was signed.")
    if by_card != ("sha256", certificate_sha256):
        fail(f"What is offered for {role} names another certificate; nothing was signed.")
    if item["format"] != "CAdES":
        return attributes
    if told.get("signing_time") != signing_time.replace(microsecond=0):
        fail(f"What is offered for {role} tells another time; nothing was signed.")
    if name == "sha256" and digest.hex() != item["document_sha256"]:
        fail(f"What is offered for {role} is of another file than shown; nothing was signed.")
    return attributes


def card_certificate(token: "SigningToken", key: str) -> str:
    """Return the SHA-256 of the certificate that lies beside a key."""
    from docflow.signing.trust import sha256_of

    found = token.certificates().get(key, [])
    if len(found) != 1:
        fail(f"The token {token.label!r} shows {len(found) or 'no'} certificates labelled {key!r}.")
    return sha256_of(found[0])
