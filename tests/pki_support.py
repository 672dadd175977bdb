"""A living PKI on loopback: authorities, OCSP, CRLs and time-stamp authorities that answer over HTTP.

Certomancer issues and answers; what stands in front of it can be told to be away, to lie, to dawdle
or to talk without end. Its clock is the test's: answers carry the time that `LivePki.now` gives.

| certificate | issued by | what it is |
|---|---|---|
| `root` | itself | the organisation's root |
| `authority` | root | issues people and seals; revocation by OCSP and CRL |
| `tsa-authority` | root | issues time-stamp authorities; revocation by OCSP and CRL |
| `person`, `person-second`, `person-third`, `seal` | authority | good until the end of 2028 |
| `newcomer` | authority | valid from 2026-02-01 |
| `for-web` | authority | for web servers alone, by a critical extended key usage |
| `revoked`, `seal-revoked` | authority | revoked on 2026-02-01 |
| `expired` | authority | valid in 2024 only |
| `expiring` | authority | valid until 2026-03-20 |
| `crl-only` | crl-authority | revocation by CRL alone |
| `tsa`, `tsa-second` | tsa-authority | good until the end of 2031, of 2040 |
| `tsa-new` | tsa-authority | valid from 2026-02-01 |
| `tsa-ending` | tsa-authority | valid until 2026-06-01 |
| `tsa-revoked` | tsa-authority | revoked on 2026-02-01 |
| `not-a-tsa` | tsa-authority | a certificate that may not stamp time |
| `stranger-root`, `stranger`, `stranger-tsa` | itself, stranger-root | leads to no root of ours |
"""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from asn1crypto import core, ocsp, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from docflow.signing.identity import Kind, SignerIdentity
from docflow.signing.trust import TrustRoots

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from certomancer.integrations.animator import Animator, AnimatorArchStore
    from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig
    from werkzeug.serving import WSGIRequestHandler, make_server

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
PASSPHRASE = b"a passphrase for tests"
ARCH = "docflow"
_HOST = "127.0.0.1"

Fault = Literal[
    "away",  # 503
    "cut",  # the connection ends before an answer
    "slow",  # the answer comes after `LivePki.slow_seconds`
    "endless",  # an answer that does not end
    "garbage",  # 200 with bytes that are no answer
    "redirect",  # sent elsewhere
    "refused",  # a TSA's or responder's own refusal
    "other-imprint",  # a timestamp over something else
    "other-nonce",  # a timestamp for another question
    "other-time",  # a timestamp of another day
    "other-certificate",  # an OCSP answer about another certificate
    "unauthorised",  # 401
]

_ENTITIES: dict[str, dict[str, str]] = {
    "root": {"common-name": "Gốc thử nghiệm"},
    "authority": {"common-name": "CA thử nghiệm"},
    "crl-authority": {"common-name": "CA chỉ có CRL"},
    "tsa-authority": {"common-name": "CA dấu thời gian"},
    "ocsp": {"common-name": "OCSP"},
    "tsa-ocsp": {"common-name": "OCSP của CA dấu thời gian"},
    "person": {"common-name": "Nguyễn Hồng Sơn", "surname": "Nguyễn"},
    "person-second": {"common-name": "Bùi Thanh Mai", "surname": "Bùi"},
    "person-third": {"common-name": "Trần Quốc Dũng", "surname": "Trần"},
    "seal": {"common-name": "Sở Nội vụ tỉnh Lam Giang", "organization-identifier": "NTRVN-1"},
    "seal-revoked": {"common-name": "Văn thư bị thu hồi"},
    "revoked": {"common-name": "Đã bị thu hồi", "surname": "Trần"},
    "expired": {"common-name": "Đã hết hạn", "surname": "Lê"},
    "expiring": {"common-name": "Con dấu sắp hết hạn", "organization-identifier": "NTRVN-1"},
    "crl-only": {"common-name": "Chỉ có CRL", "surname": "Phạm"},
    "tsa": {"common-name": "TSA thứ nhất"},
    "tsa-second": {"common-name": "TSA thứ hai"},
    "tsa-ending": {"common-name": "TSA sắp hết hạn"},
    "tsa-revoked": {"common-name": "TSA bị thu hồi"},
    "newcomer": {"common-name": "Lê Mới", "surname": "Lê"},
    "for-web": {"common-name": "www.example.vn"},
    "tsa-new": {"common-name": "TSA mới"},
    "not-a-tsa": {"common-name": "Không phải TSA"},
    "stranger-root": {"common-name": "Gốc xa lạ"},
    "stranger": {"common-name": "Người lạ", "surname": "Vô"},
    "stranger-tsa": {"common-name": "TSA xa lạ"},
}
_REVOKED = {"revoked-since": "2026-02-01T00:00:00+0000", "reason": "key_compromise"}
_STAMPS_TIME = {"id": "extended_key_usage", "critical": True, "value": ["time_stamping"]}
_SERVES_WEB = {"id": "extended_key_usage", "critical": True, "value": ["server_auth"]}
_DIGITAL_SIGNATURE = {
    "id": "key_usage",
    "critical": True,
    "smart-value": {"schema": "key-usage", "params": ["digital_signature"]},
}
_TSAS = ("tsa", "tsa-second", "tsa-ending", "tsa-revoked", "tsa-new", "not-a-tsa", "stranger-tsa")


def _validity(since: str, until: str) -> dict[str, str]:
    return {"valid-from": f"{since}T00:00:00+0000", "valid-to": f"{until}T00:00:00+0000"}


def _cert(issuer: str, since: str, until: str, **more: Any) -> dict[str, Any]:
    return {"issuer": issuer, "validity": _validity(since, until), **more}


def _authority(issuer: str, since: str, until: str, **params: Any) -> dict[str, Any]:
    return _cert(issuer, since, until, profiles=[{"id": "simple-ca", "params": params}])


def _signer(issuer: str, since: str, until: str, **more: Any) -> dict[str, Any]:
    return _cert(issuer, since, until, profiles=["digsig-commitment"], **more)


def _tsa(issuer: str, since: str, until: str, **more: Any) -> dict[str, Any]:
    extensions = [_DIGITAL_SIGNATURE, _STAMPS_TIME]
    return _cert(issuer, since, until, extensions=extensions, **more)


def _configuration(port: int, years: int) -> dict[str, Any]:
    certificates = {
        "root": _authority("root", "2020-01-01", "2060-01-01", **{"crl-repo": "root"}),
        "authority": _authority(
            "root", "2020-01-01", "2045-01-01", **{"crl-repo": "authority", "ocsp-service": "ocsp"}
        ),
        "crl-authority": _authority(
            "root", "2020-01-01", "2045-01-01", **{"crl-repo": "crl-authority"}
        ),
        "tsa-authority": _authority(
            "root",
            "2020-01-01",
            "2045-01-01",
            **{"crl-repo": "tsa-authority", "ocsp-service": "tsa-ocsp"},
        ),
        "ocsp": _cert("authority", "2020-01-01", "2045-01-01", profiles=["ocsp-responder"]),
        "tsa-ocsp": _cert("tsa-authority", "2020-01-01", "2045-01-01", profiles=["ocsp-responder"]),
        "person": _signer("authority", "2025-01-01", "2029-01-01"),
        "person-second": _signer("authority", "2025-01-01", "2029-01-01"),
        "person-third": _signer("authority", "2025-01-01", "2029-01-01"),
        "seal": _signer("authority", "2025-01-01", "2029-01-01"),
        "revoked": _signer("authority", "2025-01-01", "2029-01-01", revocation=_REVOKED),
        "seal-revoked": _signer("authority", "2025-01-01", "2029-01-01", revocation=_REVOKED),
        "expired": _signer("authority", "2024-01-01", "2025-01-01"),
        "expiring": _signer("authority", "2025-01-01", "2026-03-20"),
        "crl-only": _signer("crl-authority", "2025-01-01", "2029-01-01"),
        "tsa": _tsa("tsa-authority", "2025-01-01", "2032-01-01"),
        "tsa-second": _tsa("tsa-authority", "2025-01-01", "2041-01-01"),
        "tsa-ending": _tsa("tsa-authority", "2025-01-01", "2026-06-01"),
        "tsa-revoked": _tsa("tsa-authority", "2025-01-01", "2032-01-01", revocation=_REVOKED),
        "newcomer": _signer("authority", "2026-02-01", "2029-01-01"),
        "for-web": _signer("authority", "2025-01-01", "2029-01-01", extensions=[_SERVES_WEB]),
        "tsa-new": _tsa("tsa-authority", "2026-02-01", "2032-01-01"),
        "not-a-tsa": _signer("tsa-authority", "2025-01-01", "2032-01-01"),
        "stranger-root": _authority("stranger-root", "2020-01-01", "2060-01-01"),
        "stranger": _signer("stranger-root", "2025-01-01", "2029-01-01"),
        "stranger-tsa": _tsa("stranger-root", "2025-01-01", "2032-01-01"),
    }
    for one in certificates.values():
        one["validity"] = {
            name: f"{int(day[:4]) + years}{day[4:]}" for name, day in one["validity"].items()
        }
    issuing = ("root", "authority", "crl-authority", "tsa-authority")
    return {
        "external-url-prefix": f"http://{_HOST}:{port}",
        "keysets": {
            ARCH: {"keys": {label: {"path": f"{label}.pem"} for label in _ENTITIES}},
        },
        "pki-architectures": {
            ARCH: {
                "keyset": ARCH,
                "entity-defaults": {"country-name": "VN", "organization-name": "Thử nghiệm"},
                "entities": _ENTITIES,
                "certs": {label: {"subject": label, **one} for label, one in certificates.items()},
                "services": {
                    "ocsp": {
                        "ocsp": {"for-issuer": "authority", "responder-cert": "ocsp"},
                        "tsa-ocsp": {"for-issuer": "tsa-authority", "responder-cert": "tsa-ocsp"},
                    },
                    "crl-repo": {
                        label: {"for-issuer": label, "simulated-update-schedule": "P30D"}
                        for label in issuing
                    },
                    "time-stamping": {
                        label: {
                            "signing-cert": label,
                            "certs-to-embed": ["tsa-authority"]
                            if label != "stranger-tsa"
                            else ["stranger-root"],
                        }
                        for label in _TSAS
                    },
                },
            }
        },
    }


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing."""


class LivePki:
    """The PKI and its server; start it once, tell each test's time with `now`."""

    def __init__(
        self, folder: Path, years: int = 0, keys: Mapping[str, bytes] | None = None
    ) -> None:
        """Start; every certificate is valid `years` later than the table says (or earlier).

        `keys` are PEM private keys for labels that shall not have one of P-256.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.slow_seconds = 5.0
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self._faults: dict[str, Fault] = {}
        self.now: Callable[[], datetime] = lambda: START
        for label in _ENTITIES:
            _write_key(folder / f"{label}.pem", (keys or {}).get(label))
        self._server = make_server(_HOST, 0, self._answer, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.port = int(self._server.port)
        configuration = yaml.safe_dump(_configuration(self.port, years), allow_unicode=True)
        config = CertomancerConfig.from_yaml(configuration, key_search_dir=str(folder))
        self._arch = config.pki_archs[ArchLabel(ARCH)]
        self._animator = Animator(
            AnimatorArchStore(config.pki_archs), with_web_ui=False, allow_time_override=True
        )
        for label in _ENTITIES:
            self._arch.get_cert(CertLabel(label))  # now, not in two threads at once later
        logging.getLogger("certomancer").setLevel(logging.CRITICAL)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def reset(self) -> None:
        """Forget what a test has told it."""
        self._faults.clear()
        self.requests.clear()
        self.slow_seconds = 5.0
        self.now = lambda: START

    # -- addresses ---------------------------------------------------------------------------------

    def tsa_url(self, label: str = "tsa") -> str:
        return f"http://{_HOST}:{self.port}/{ARCH}/tsa/{label}"

    @property
    def ocsp_url(self) -> str:
        return f"http://{_HOST}:{self.port}/{ARCH}/ocsp/ocsp"

    def asked(self, part: str) -> int:
        """Return how many requests came to addresses with `part` in them."""
        return sum(part in path for path, _ in self.requests)

    # -- faults ------------------------------------------------------------------------------------

    @contextmanager
    def fails(self, part: str, fault: Fault) -> Iterator[None]:
        """Let every address with `part` in it fail: `tsa/tsa`, `ocsp`, `crls/authority`, …"""
        self.break_(part, fault)
        try:
            yield
        finally:
            self.mend(part)

    def break_(self, part: str, fault: Fault) -> None:
        self._faults[part] = fault

    def mend(self, part: str) -> None:
        self._faults.pop(part, None)

    # -- certificates and keys ---------------------------------------------------------------------

    def certificate(self, label: str) -> x509.Certificate:
        return x509.load_der_x509_certificate(self._arch.get_cert(CertLabel(label)).dump())

    def pem(self, label: str) -> Path:
        """Return a PEM file with a certificate."""
        path = self.folder / f"{label}.cert.pem"
        path.write_bytes(self.certificate(label).public_bytes(Encoding.PEM))
        return path

    @property
    def roots(self) -> TrustRoots:
        return TrustRoots((self.certificate("root"),))

    def pkcs12(self, label: str, issuer: str = "authority") -> Path:
        """Return an encrypted PKCS#12 file with key, certificate and issuing authority."""
        key = load_pem_private_key((self.folder / f"{label}.pem").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        path = self.folder / f"{label}.p12"
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                label.encode(),
                key,
                self.certificate(label),
                [self.certificate(issuer)],
                BestAvailableEncryption(PASSPHRASE),
            )
        )
        return path

    def identity(
        self, label: str, kind: Kind, *, issuer: str = "authority", now: datetime | None = None
    ) -> SignerIdentity:
        return SignerIdentity.from_pkcs12(
            self.pkcs12(label, issuer),
            PASSPHRASE,
            roots=self.roots,
            now=now or self.now(),
            expect=kind,
        )

    # -- the server --------------------------------------------------------------------------------

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        headers = {k: v for k, v in environ.items() if k.startswith("HTTP_")}
        self.requests.append((path, headers))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        fault = next((f for part, f in self._faults.items() if part in path), None)
        broken = self._broken(fault, start)
        if broken is not None:
            return broken
        moment = self.now()
        if fault == "other-time":
            moment = moment.replace(year=moment.year - 1)
        environ["HTTP_X_CERTOMANCER_FAKE_TIME"] = moment.isoformat()
        body = _twisted(fault, body)
        environ["wsgi.input"] = _Body(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        answer: Iterable[bytes] = self._animator(environ, start)
        return answer

    def _broken(self, fault: Fault | None, start: Callable[..., Any]) -> Iterable[bytes] | None:
        binary = [("Content-Type", "application/octet-stream")]
        if fault == "away":
            start("503 Service Unavailable", binary)
            return [b"down for maintenance"]
        if fault == "unauthorised":
            start("401 Unauthorized", binary)
            return [b"who are you"]
        if fault == "cut":
            start("200 OK", [*binary, ("Content-Length", "1000")])
            return [b"0"]
        if fault == "garbage":
            start("200 OK", binary)
            return [b"<html>Welcome to the captive portal</html>"]
        if fault == "redirect":
            start("302 Found", [("Location", f"http://{_HOST}:{self.port}/elsewhere")])
            return [b""]
        if fault == "endless":
            start("200 OK", binary)
            return (b"\x30" * 65_536 for _ in range(10_000))
        if fault == "refused":
            start("200 OK", [("Content-Type", "application/timestamp-reply")])
            refusal = tsp.PKIStatusInfo({"status": "rejection", "fail_info": {"bad_request"}})
            return [tsp.TimeStampResp({"status": refusal}).dump()]
        if fault == "slow":
            time.sleep(self.slow_seconds)
        return None


class _Body:
    """What WSGI wants of a request's body."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        taken = self._data if size < 0 else self._data[:size]
        self._data = self._data[len(taken) :]
        return taken

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


def _twisted(fault: Fault | None, body: bytes) -> bytes:
    """Return the question that a liar answers instead of the one that was asked."""
    if fault in {"other-imprint", "other-nonce"}:
        stamp = tsp.TimeStampReq.load(body)
        if fault == "other-imprint":
            digest = stamp["message_imprint"]["hashed_message"].native
            stamp["message_imprint"]["hashed_message"] = bytes(b ^ 1 for b in digest)
        else:
            stamp["nonce"] = core.Integer(stamp["nonce"].native + 1)
        return bytes(stamp.dump(force=True))
    if fault == "other-certificate":
        question = ocsp.OCSPRequest.load(body)
        certificate = question["tbs_request"]["request_list"][0]["req_cert"]
        certificate["serial_number"] = certificate["serial_number"].native + 1
        return bytes(question.dump(force=True))
    return body


def _write_key(path: Path, given: bytes | None) -> None:
    if given is not None:
        path.write_bytes(given)
        return
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
