"""Certificates of people: enrol, prove, revoke; and what was signed with one."""

import base64
import binascii
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.schemas.common import Base64, Block, Input, Line, Name, Output
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.people.signer_certificates import PersonCertificate
from docflow.release import certificate_uses

router = APIRouter(prefix="/v1", tags=["certificates"])

Device = Literal["card", "service"]


class SignerCertificateIn(Input):
    """A certificate to be enrolled for a person."""

    pem: Block = Field(description="The certificate, then the authorities above it, as PEM blocks.")
    device: Device = Field(
        description="`card`: only the person has the key, and proves it; `service`: the signers file "
        "has it."
    )
    replaces: Name | None = Field(None, description="Id of the certificate whose place it takes.")


class CertificateProofIn(Input):
    """A signature over the certificate's challenge."""

    signature: Base64 = Field(
        description="Base64; over the challenge's UTF-8 bytes: ECDSA in DER, or RSASSA-PSS with "
        "SHA-256 and a salt of 32 bytes."
    )


class CertificateRevocationIn(Input):
    """Why nothing is signed with it any more."""

    reason: Line


class SignerCertificateOut(Output):
    """A certificate of a person."""

    id: str
    person_id: str
    sha256: str
    subject: str
    device: Device
    state: Literal["proposed", "enrolled", "replaced", "revoked"]
    valid_from: datetime
    valid_until: datetime
    challenge: str | None = Field(description="What its key has to sign while it is proposed.")
    replaces: str | None
    created_at: datetime
    enrolled_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None

    @classmethod
    def of(cls, found: PersonCertificate) -> "SignerCertificateOut":
        """Build from the people room's answer."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class SignerCertificatePage(Output):
    """A page of a person's certificates, oldest first."""

    items: list[SignerCertificateOut]
    next_cursor: str | None


class CertificateUseOut(Output):
    """One file that was signed or sealed with a certificate."""

    id: str
    role: Literal["person", "seal"]
    document_id: str
    symbol: str | None
    state: str = Field(description="Of the document now.")
    file_id: str
    sha256: str = Field(description="Of the file with this signature on it.")
    at: datetime
    released: bool = Field(description="Whether the document was released.")
    deliveries: int = Field(description="To how many recipients.")


class CertificateUsePage(Output):
    """A page of what was signed with a certificate, oldest first."""

    items: list[CertificateUseOut]
    next_cursor: str | None


@router.get(
    "/people/{person_id}/certificates",
    response_model=SignerCertificatePage,
    summary="List a person's certificates",
)
def list_certificates(
    person_id: Name,
    request: Request,
    response: Response,
    caller: CallerDep,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> SignerCertificatePage:
    """List a person's certificates, ended ones too, oldest first."""
    page = caller.services.signer_certificates.list(
        caller.actor, person_id, cursor=pagination.decode(cursor), limit=limit
    )
    following = pagination.follow(request, response, page.next_cursor)
    return SignerCertificatePage(
        items=[SignerCertificateOut.of(one) for one in page.items], next_cursor=following
    )


@router.post(
    "/people/{person_id}/certificates",
    status_code=201,
    response_model=SignerCertificateOut,
    summary="Enrol a certificate",
)
def post_certificate(
    person_id: Name,
    wanted: SignerCertificateIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> SignerCertificateOut:
    """Enrol a certificate for a person; one on the person's card waits until its key is proved."""
    claim, earlier = once(caller, idempotency_key, wanted)
    service = caller.services.signer_certificates
    if earlier is not None:
        found = service.get(caller.actor, person_id, earlier)
    else:
        found = service.enrol(
            caller.actor,
            person_id,
            wanted.pem,
            wanted.device,
            replaces=wanted.replaces,
            claim=claim,
        )
    response.headers["Location"] = f"/v1/people/{found.person_id}/certificates/{found.id}"
    return SignerCertificateOut.of(found)


@router.get(
    "/people/{person_id}/certificates/{certificate_id}",
    response_model=SignerCertificateOut,
    summary="Read a person's certificate",
)
def get_certificate(
    person_id: Name, certificate_id: Name, caller: CallerDep
) -> SignerCertificateOut:
    """Read one certificate of a person."""
    return SignerCertificateOut.of(
        caller.services.signer_certificates.get(caller.actor, person_id, certificate_id)
    )


@router.post(
    "/people/{person_id}/certificates/{certificate_id}/proof",
    response_model=SignerCertificateOut,
    summary="Prove my certificate's key",
)
def post_proof(
    person_id: Name, certificate_id: Name, given: CertificateProofIn, caller: CallerDep
) -> SignerCertificateOut:
    """Enrol the caller's own proposed certificate by a signature over its challenge."""
    try:
        signature = base64.b64decode(given.signature, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(
            "The signature is not base64.",
            fields=[FieldProblem("/signature", "base64 with padding")],
        ) from None
    return SignerCertificateOut.of(
        caller.services.signer_certificates.prove(
            caller.actor, person_id, certificate_id, signature
        )
    )


@router.post(
    "/people/{person_id}/certificates/{certificate_id}/revoke",
    response_model=SignerCertificateOut,
    summary="Revoke a person's certificate",
)
def post_revocation(
    person_id: Name, certificate_id: Name, given: CertificateRevocationIn, caller: CallerDep
) -> SignerCertificateOut:
    """Let nothing be signed with a certificate any more; what was signed with it stays listed."""
    return SignerCertificateOut.of(
        caller.services.signer_certificates.revoke(
            caller.actor, person_id, certificate_id, given.reason
        )
    )


@router.get(
    "/certificates/{sha256}/releases",
    response_model=CertificateUsePage,
    summary="What was signed with a certificate",
)
def list_releases(
    sha256: Name,
    request: Request,
    response: Response,
    caller: CallerDep,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> CertificateUsePage:
    """List every file that was signed or sealed with a certificate: the reach of a compromise."""
    rows = certificate_uses.releases(
        caller.services.database,
        caller.actor,
        sha256,
        after=pagination.decode(cursor),
        limit=limit + 1,
    )
    page, following = pagination.cut(rows, limit)
    pagination.link_next(request, response, following)
    return CertificateUsePage(
        items=[CertificateUseOut(**row) for row in page], next_cursor=following
    )
