"""A small remote signing service as the Cloud Signature Consortium's API v2 describes it, over TLS.

It holds its clients to the API: bearer token, authorisation by PIN for exactly the hashes that are then
signed, once, for a short time, and as many as the credential allows at once; a PIN is locked after three
wrong ones. With a client's secret it also gives tokens by OAuth client credentials (RFC 6749 4.4), which
end and have a scope. It can be told to misbehave.
"""

import base64
import json
import secrets
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote_plus

from asn1crypto import algos
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docflow.signing.keysigner import SigningKey

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
}
_ECDSA = {"1.2.840.10045.4.3.2": hashes.SHA256, "1.2.840.10045.4.3.3": hashes.SHA384}
_PSS = "1.2.840.113549.1.1.10"
_TRIES = 3
_SAD_SECONDS = 30.0


class RefusalError(Exception):
    """What the API answers with an error code."""

    def __init__(self, status: int, error: str) -> None:
        self.status = status
        self.error = error


@dataclass
class Credential:
    """A key in the service, its certificates and its PIN."""

    key: SigningKey
    certificates: list[x509.Certificate]
    pin: str
    status: str = "enabled"
    wrong: int = 0
    multisign: int = 1
    auth: dict[str, Any] = field(
        default_factory=lambda: {
            "mode": "explicit",
            "expression": "PIN",
            "objects": [{"id": "PIN"}],
        }
    )


@dataclass
class CscService:
    """The service; `misbehave` names what it does wrong from now on."""

    credentials: dict[str, Credential]
    token: str
    misbehave: str = ""
    client: tuple[str, str] | None = None
    token_seconds: float | None = 3600.0
    scopes: frozenset[str] = frozenset({"service"})
    auth_types: tuple[str, ...] = ("oauth2client",)
    base: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The tokens given: scope, and when each ends."""
    _sads: dict[str, tuple[str, tuple[str, ...], float]] = field(default_factory=dict)

    def give_token(self, authorization: str | None, form: dict[str, list[str]]) -> dict[str, Any]:
        """Answer at the token endpoint."""
        self.calls.append(("/oauth2/token", dict(form)))
        assert self.client is not None
        pair = ":".join(map(quote_plus, self.client))
        if authorization != "Basic " + base64.b64encode(pair.encode()).decode():
            raise RefusalError(401, "invalid_client")
        if form.get("grant_type") != ["client_credentials"]:
            raise RefusalError(400, "unsupported_grant_type")
        (scope,) = form["scope"]
        if scope not in self.scopes:
            raise RefusalError(400, "invalid_scope")
        token = secrets.token_urlsafe(24)
        lasts = 3600.0 if self.token_seconds is None else self.token_seconds
        self.tokens[token] = (scope, time.monotonic() + lasts)
        told = {"access_token": token, "token_type": "Bearer", "scope": scope}
        return told if self.token_seconds is None else {**told, "expires_in": self.token_seconds}

    def _require_access(self, header: str | None) -> None:
        token = (header or "").removeprefix("Bearer ")
        if self.client is None:
            if token != self.token:
                raise RefusalError(401, "invalid_token")
            return
        scope, until = self.tokens.get(token, ("", 0.0))
        if until <= time.monotonic():
            raise RefusalError(401, "invalid_token")
        if scope != "service":
            raise RefusalError(403, "insufficient_scope")

    def handle(self, path: str, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((path, body))
        if path == "/csc/v2/info":
            return {"specs": "2.0.0.0", "authType": list(self.auth_types), "oauth2": self.base}
        self._require_access(token)
        credential = self.credentials.get(body.get("credentialID", ""))
        if credential is None:
            raise RefusalError(400, "invalid_request")
        match path:
            case "/csc/v2/credentials/info":
                return self._info(credential, body)
            case "/csc/v2/credentials/authorize":
                return self._authorize(credential, body)
            case "/csc/v2/signatures/signHash":
                return self._sign(credential, body)
        raise RefusalError(404, "invalid_request")

    def _info(self, credential: Credential, body: dict[str, Any]) -> dict[str, Any]:
        assert body["certificates"] == "chain"
        chain = [one.public_bytes(Encoding.DER) for one in credential.certificates]
        return {
            "key": {"status": credential.status, "algo": ["1.2.840.10045.4.3.2"], "len": 256},
            "cert": {
                "status": "valid",
                "certificates": [base64.b64encode(one).decode() for one in chain],
            },
            **({"auth": credential.auth} if body["authInfo"] else {}),
            "multisign": credential.multisign,
        }

    def _authorize(self, credential: Credential, body: dict[str, Any]) -> dict[str, Any]:
        given = {item["id"]: item["value"] for item in body.get("authData", [])}
        implicit = credential.auth["mode"] == "implicit"
        if credential.wrong >= _TRIES:
            raise RefusalError(400, "locked_pin")
        if implicit and given:
            raise RefusalError(400, "invalid_request")
        if not implicit and given.get("PIN") != credential.pin:
            credential.wrong += 1
            raise RefusalError(400, "invalid_pin")
        credential.wrong = 0
        if not body["numSignatures"] == len(body["hashes"]) <= credential.multisign:
            raise RefusalError(400, "invalid_request")
        sad = secrets.token_urlsafe(32)
        until = time.monotonic() + _SAD_SECONDS
        self._sads[sad] = (body["credentialID"], tuple(body["hashes"]), until)
        return {"SAD": sad, "expiresIn": int(_SAD_SECONDS)}

    def _sign(self, credential: Credential, body: dict[str, Any]) -> dict[str, Any]:
        bound = self._sads.pop(body.get("SAD", ""), None)  # used once
        if bound is None or bound[2] < time.monotonic():
            raise RefusalError(400, "expired_sad")
        if bound[:2] != (body["credentialID"], tuple(body["hashes"])):
            raise RefusalError(400, "invalid_request")
        return {
            "signatures": [
                base64.b64encode(_sign(credential.key, base64.b64decode(one), body)).decode()
                for one in body["hashes"]
            ]
        }


def _sign(key: SigningKey, digest: bytes, body: dict[str, Any]) -> bytes:
    algorithm = _HASHES[body["hashAlgorithmOID"]]()
    assert len(digest) == algorithm.digest_size
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert isinstance(algorithm, _ECDSA[body["signAlgo"]])
        return key.sign(digest, ec.ECDSA(Prehashed(algorithm)))
    assert isinstance(key, rsa.RSAPrivateKey)
    assert body["signAlgo"] == _PSS
    parameters = algos.RSASSAPSSParams.load(base64.b64decode(body["signAlgoParams"]))
    salt = parameters["salt_length"].native
    return key.sign(digest, padding.PSS(padding.MGF1(algorithm), salt), Prehashed(algorithm))


class CscServer:
    """The service on a loopback port, over TLS with a certificate of its own."""

    def __init__(
        self, service: CscService, key: SigningKey, certificate: x509.Certificate, folder: Path
    ) -> None:
        outer = service

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = 200, b""
                match outer.misbehave:
                    case "slow":
                        time.sleep(3)
                    case "huge":
                        answer = b" " * 400_000
                    case "garbage":
                        answer = b"<html>"
                    case "down":
                        status, answer = 503, b"{}"
                    case "redirect":
                        status, answer = 302, b"{}"
                if not answer:
                    try:
                        header = self.headers["Authorization"]
                        if self.path == "/oauth2/token":
                            told = outer.give_token(header, parse_qs(body.decode()))
                        else:
                            told = outer.handle(self.path, header, json.loads(body))
                    except RefusalError as refusal:
                        status, told = refusal.status, {"error": refusal.error}
                    if outer.misbehave == "wrong" and "signatures" in told:
                        told = {"signatures": [base64.b64encode(b"x" * 70).decode()]}
                    if outer.misbehave == "none" and "signatures" in told:
                        told = {"signatures": []}
                    answer = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                if status == 302:
                    self.send_header("Location", "https://127.0.0.1:1/")
                self.end_headers()
                try:
                    self.wfile.write(answer)
                except OSError:
                    return  # the client has gone

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        path = folder / "tls.pem"
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.service = service
        service.base = self.url.removesuffix("/csc/v2")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/csc/v2"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
