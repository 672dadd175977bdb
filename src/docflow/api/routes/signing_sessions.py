"""/v1/signing-sessions: a personal signature with the caller's own card, in two steps."""

import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from docflow.api.answers import in_thread, json_answer
from docflow.api.context import Caller, CallerDep, IfMatch, etag, required_version
from docflow.api.schemas.common import Base64, Input, Name, Output
from docflow.api.schemas.documents import TransitionIn
from docflow.documents.signer_choice import MOST_FILES
from docflow.release import card_sessions
from docflow.release.card_sessions import Shown, ToSign

router = APIRouter(prefix="/v1", tags=["signing sessions"])

State = Literal["preparing", "ready", "answered", "done", "expired", "failed"]


class AlgorithmOut(Output):
    """How the card has to sign."""

    name: Literal["ECDSA", "RSASSA-PSS"]
    hash: Literal["sha256", "sha384", "sha512"]
    salt_length: int | None = Field(description="Bytes of salt, for RSASSA-PSS.")


class FileToSignOut(Output):
    """One file to be signed: what to show, and what the card signs."""

    file_id: str
    role: Literal["main", "annex"]
    name: str | None = Field(description="Null where it lies sealed.")
    media_type: str
    size: int = Field(description="Bytes of the file that `document_sha256` is of.")
    format: Literal["PAdES", "CAdES"] = Field(
        description="The signature goes into the PDF, or beside an annex that is none."
    )
    document_sha256: str = Field(
        description="Of a PDF as it is before this signature; of any other annex as it came."
    )
    document_digest: str = Field(
        description="Hexadecimal; what the signed attributes vouch for. Of an annex that is no PDF, its "
        "digest by the algorithm's hash."
    )
    attributes: str = Field(description="Base64 of the DER of the signed attributes.")
    digest: str = Field(description="Base64 of the attributes' digest: what the card signs.")

    @classmethod
    def of(cls, item: ToSign) -> "FileToSignOut":
        """Build from the release room's answer."""
        offered = item.offered
        return cls(
            file_id=item.file_id,
            role="main" if item.role == "main" else "annex",
            name=item.name or None,
            media_type=item.media_type,
            size=item.size,
            format=item.form,
            document_sha256=item.sha256,
            document_digest=offered.document_digest.hex(),
            attributes=base64.b64encode(offered.attributes).decode(),
            digest=base64.b64encode(offered.to_sign).decode(),
        )


class SignedDocumentOut(Output):
    """The document that waits for the signature, as the card's owner should see it."""

    id: str
    version: int = Field(description="The version that the signature was asked for on.")
    subject: str | None = Field(description="Null where it lies sealed.")
    symbol: str | None
    state: str


class SigningCertificateOut(Output):
    """The certificate whose key has to sign."""

    sha256: str
    subject: str
    valid_until: datetime


class SigningSessionOut(Output):
    """A signing session."""

    id: str
    state: State
    document: SignedDocumentOut
    certificate: SigningCertificateOut | None = Field(description="Null while preparing.")
    algorithm: AlgorithmOut | None
    files: list[FileToSignOut]
    capacity: str | None = Field(description="In whose place the caller signs, as printed.")
    signing_time: datetime | None
    expires_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, shown: Shown) -> "SigningSessionOut":
        """Build from the release room's answer."""
        row: Any = shown.row or {}
        pending = shown.document["pending"] or {}
        mine = pending if pending.get("job_id") == shown.id else {}
        found = shown.certificate
        return cls(
            id=shown.id,
            state=shown.state,
            document=SignedDocumentOut(
                id=shown.document["id"],
                version=int(shown.id.rsplit("-", 1)[1]),
                subject=shown.document["subject"] or None,
                symbol=shown.document["symbol"],
                state=shown.document["state"],
            ),
            certificate=None
            if found is None
            else SigningCertificateOut(
                sha256=found["sha256"], subject=found["subject"], valid_until=found["valid_until"]
            ),
            algorithm=_algorithm(shown),
            files=[FileToSignOut.of(item) for item in shown.files],
            capacity=mine.get("capacity"),
            signing_time=row.get("signing_time"),
            expires_at=row.get("expires_at"),
            error=shown.error,
        )


class SignaturesIn(Input):
    """What the card signed."""

    signatures: Annotated[dict[Name, Base64], Field(min_length=1, max_length=MOST_FILES)] = Field(
        description="File id → base64 of its signature: DER for ECDSA, the plain bytes for RSASSA-PSS."
    )


def _algorithm(shown: Shown) -> AlgorithmOut | None:
    if shown.algorithm is None:
        return None
    name, digest, salt = shown.algorithm
    return AlgorithmOut(name=name, hash=digest, salt_length=salt)


def _answer(shown: Shown, status: int = 200) -> Response:
    headers = {"Location": f"/v1/signing-sessions/{shown.id}"} if status != 200 else {}  # noqa: PLR2004
    return json_answer(SigningSessionOut.of(shown), status, headers)


@router.post(
    "/documents/{document_id}/signing-sessions",
    status_code=202,
    response_model=SigningSessionOut,
    summary="Sign with my own card",
)
async def post_session(
    document_id: Name, wanted: TransitionIn, caller: CallerDep, if_match: IfMatch = None
) -> Response:
    """Fire a transition that signs, with the caller's own card; a job prepares what the card signs.

    What a card cannot sign is refused now, not by the job.
    """
    return await in_thread(caller.threads, _ask, caller, document_id, wanted, if_match)


def _ask(caller: Caller, document_id: str, wanted: TransitionIn, if_match: str | None) -> Response:
    studio = caller.services.studio
    outcome = card_sessions.ask(
        studio,
        caller.actor,
        document_id,
        wanted.trigger,
        wanted.asked,
        if_version=required_version(if_match),
        place=wanted.place,
        mandate=wanted.mandate,
    )
    shown = card_sessions.show(studio, caller.actor, str(outcome.job_id))
    answer = _answer(shown, 202)
    answer.headers["ETag"] = etag(outcome.version)
    return answer


@router.get(
    "/signing-sessions/{session_id}",
    response_model=SigningSessionOut,
    summary="Read a signing session",
)
def get_session(session_id: Name, caller: CallerDep) -> Response:
    """Read a session of the caller's own: what to sign once it is `ready`, and how it ended."""
    return _answer(card_sessions.show(caller.services.studio, caller.actor, session_id))


@router.put(
    "/signing-sessions/{session_id}/signature",
    status_code=202,
    response_model=SigningSessionOut,
    summary="Hand over what the card signed",
)
def put_signature(session_id: Name, given: SignaturesIn, caller: CallerDep) -> Response:
    """Verify the signatures and have them embedded; the transition completes when that is done."""
    studio = caller.services.studio
    shown = card_sessions.answer(studio, caller.actor, session_id, given.signatures)
    return _answer(shown, 202)


@router.delete(
    "/signing-sessions/{session_id}",
    response_model=SigningSessionOut,
    summary="Give up a signing session",
)
def delete_session(session_id: Name, caller: CallerDep) -> Response:
    """End a session that waits for the caller's card; the document can go on without it."""
    return _answer(card_sessions.give_up(caller.services.studio, caller.actor, session_id))
