"""A person's own card, played in software: a key and a certificate of the throw-away PKI."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from docflow.release import card_sessions
from docflow.signing.devpki import Algorithm, ensure_devpki
from docflow.signing.keysigner import SigningKey, pss
from tests.api_support import Door, answered
from tests.office_support import ADMINISTRATOR, LEADER, Instance, development


@dataclass(frozen=True)
class Card:
    """What is on a card, and what its owner can do with it."""

    key: SigningKey
    pem: str

    @classmethod
    def issue(
        cls, pki: Path, name: str, now: datetime, algorithm: Algorithm = "ecdsa-p256"
    ) -> "Card":
        """Have the throw-away authority in `pki` issue a certificate to a new key."""
        login = f"card-{len(list((pki / 'people').iterdir()))}"
        with development():
            made = ensure_devpki(pki, "Văn phòng", {login: name}, now=now, algorithm=algorithm)
        credential = made.people[login]
        bundle = pkcs12.load_pkcs12(credential.pkcs12.read_bytes(), credential.passphrase())
        assert bundle.cert is not None
        chain = [bundle.cert, *bundle.additional_certs]
        pem = "".join(one.certificate.public_bytes(Encoding.PEM).decode() for one in chain)
        return cls(bundle.key, pem)  # type: ignore[arg-type]  # the authority makes no other

    def sign(self, data: bytes) -> str:
        """Sign bytes, hashed on the way."""
        return self._sign(data, hashes.SHA256())

    def sign_digest(self, digest: bytes) -> str:
        """Sign what is a digest already, as a card does."""
        return self._sign(digest, Prehashed(hashes.SHA256()))

    def _sign(self, data: bytes, how: Any) -> str:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return base64.b64encode(self.key.sign(data, ec.ECDSA(how))).decode()
        return base64.b64encode(self.key.sign(data, pss(), how)).decode()

    def answer(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """Sign every file of a signing session."""
        return {
            "signatures": {
                item["file_id"]: self.sign_digest(base64.b64decode(item["digest"]))
                for item in session["files"]
            }
        }


def enrol(administrator: Door, person: Door, person_id: str, card: Card, **more: Any) -> Any:
    """Enrol a card for a person, who proves its key; return the certificate."""
    body = {"pem": card.pem, "device": "card", **more}
    address = f"/v1/people/{person_id}/certificates"
    made = answered(administrator.post(address, body), 201)
    proof = {"signature": card.sign(made["challenge"].encode())}
    return answered(person.post(f"{address}/{made['id']}/proof", proof), 200)


def give(instance: Instance, card: Card, login: str = LEADER) -> Card:
    """Enrol a card for a person of an instance without HTTP."""
    certificates, person = instance.services.signer_certificates, instance.actor(login)
    administrator = instance.actor(ADMINISTRATOR)
    proposed = certificates.enrol(administrator, person.id, card.pem, "card")
    assert proposed.challenge is not None
    proof = base64.b64decode(card.sign(proposed.challenge.encode()))
    certificates.prove(person, person.id, proposed.id, proof)
    return card


def answer_session(instance: Instance, session_id: str, card: Card, login: str = LEADER) -> str:
    """Have the card sign what a session gives, and answer it; return the id of the `embed` job."""
    studio, person = instance.services.studio, instance.actor(login)
    shown = card_sessions.show(studio, person, session_id)
    given = {item.file_id: card.sign_digest(item.offered.to_sign) for item in shown.files}
    card_sessions.answer(studio, person, session_id, given)
    return session_id.replace("card-", "embed-")


def carry(
    instance: Instance, document_id: str, trigger: str, card: Card, login: str = LEADER
) -> None:
    """Fire a transition, sign with the card, and run both jobs."""
    session_id = str(instance.fire(login, document_id, trigger).job_id)
    instance.run_job(session_id)
    instance.run_job(answer_session(instance, session_id, card, login))
