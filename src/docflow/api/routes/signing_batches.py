"""/v1/signing-batches: many documents signed in one act, with one answer for each."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.schemas.common import Input, Name, Output
from docflow.release import batches
from docflow.release.batches import MOST_DOCUMENTS, Batch, Wanted

router = APIRouter(prefix="/v1/signing-batches", tags=["signing batches"])


class BatchItemIn(Input):
    """A document to be signed."""

    id: Name
    version: int = Field(ge=1, le=999_999_999, description="The version that the caller saw.")


class BatchIn(Input):
    """Documents to be signed in one act."""

    documents: Annotated[list[BatchItemIn], Field(min_length=1, max_length=MOST_DOCUMENTS)]
    trigger: Name = Field("sign", description="The transition that signs each of them.")
    mandate: Name | None = Field(
        None, description="Id of the mandate in whose capacity the caller signs."
    )


class BatchItemOut(Output):
    """How one document fares."""

    document_id: str
    version: int
    state: Literal["waiting", "refused", "signing", "signed", "failed", "superseded"]
    job_id: str | None = Field(
        description="Of its signing; with an own card, also its signing session."
    )
    code: str | None = Field(description="Why it was refused; see docs/errors.md.")
    detail: str | None = Field(
        description="Why it was refused, why its signing failed, or what its signing waits for."
    )


class BatchOut(Output):
    """A batch and its progress."""

    id: str
    created_at: datetime
    expires_at: datetime = Field(description="What is not begun by then is refused.")
    done: bool = Field(description="Whether no document waits or is being signed any more.")
    counts: dict[str, int] = Field(description="State → how many documents.")
    items: list[BatchItemOut]

    @classmethod
    def of(cls, batch: Batch) -> "BatchOut":
        """Build from the release room's answer."""
        states = [item["state"] for item in batch.items]
        return cls(
            id=batch.row["id"],
            created_at=batch.row["created_at"],
            expires_at=batch.row["expires_at"],
            done=not {"waiting", "signing"} & set(states),
            counts={state: states.count(state) for state in sorted(set(states))},
            items=[
                BatchItemOut(
                    version=item["document_version"],
                    **{n: item[n] for n in ("document_id", "state", "job_id", "code", "detail")},
                )
                for item in batch.items
            ],
        )


@router.post("", status_code=202, response_model=BatchOut, summary="Sign many documents")
def post_batch(
    wanted: BatchIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> BatchOut:
    """Authorise the signing of many documents in one act; a job fires each of them in turn."""
    claim, earlier = once(caller, idempotency_key, wanted)
    studio = caller.services.studio
    batch_id = earlier or batches.authorise(
        studio,
        caller.actor,
        [Wanted(one.id, one.version, wanted.trigger, wanted.mandate) for one in wanted.documents],
        claim=claim,
    )
    response.headers["Location"] = f"/v1/signing-batches/{batch_id}"
    return BatchOut.of(batches.show(studio, caller.actor, batch_id))


@router.get("/{batch_id}", response_model=BatchOut, summary="Read a batch's progress")
def get_batch(batch_id: Name, caller: CallerDep) -> BatchOut:
    """Read a batch of the caller's own: one answer for each document, in the order given."""
    return BatchOut.of(batches.show(caller.services.studio, caller.actor, batch_id))
