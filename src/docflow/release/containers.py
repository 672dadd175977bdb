"""The step `contained` of a release: one ASiC-E container of everything that is released.

Rules:
- Only where the workflow asks for it. It holds the sealed PDFs, the annexes that are none as they came, and
  beside each of those the signature file of the people who signed it; the seal signs all of them.
- Only what passed strict validation goes in, and only what passes it comes out, a `SignedFile`: the last
  annex of what is released.
- Names come from the files' own, and are the same each time they are asked for; of a sealed document they
  are kept nowhere but in the container.
"""

from collections.abc import Sequence
from pathlib import Path

from docflow.db import Row
from docflow.documents import rows
from docflow.documents.content import PDF
from docflow.jobs.model import JobRun
from docflow.release import annexes, persons
from docflow.release import studio as work
from docflow.release.encrypt import safe_stem
from docflow.release.levels import at_level, evidence_of, no_earlier
from docflow.release.studio import Studio, Workbench
from docflow.signing.containing import SealedPart, SignedAnnex, validate_container
from docflow.signing.detached import CONTAINER_TYPE, Member, write_container
from docflow.signing.levels import Level, level_named
from docflow.signing.manifest import SIGNATURE_TYPE
from docflow.signing.member_names import member_names
from docflow.signing.signed import SignedFile

STEP = "contained"
_EXTENSION = ".asice"


def wanted(studio: Studio, document: Row) -> bool:
    """Tell whether the document's workflow releases in a container."""
    return rows.pinned(studio.desk, document).compiled.container


def contain(
    studio: Studio,
    job: JobRun,
    document_id: str,
    sealed: Sequence[Row],
    proven: Sequence[SignedFile],
) -> int:
    """Make, check and record the container of a release; return how many there are: one.

    Args:
        studio: the room's tools.
        job: the release job.
        document_id: the document.
        sealed: what its step `sealed` recorded.
        proven: the same files, validated.

    Raises:
        IntegrityError: code `release-not-valid`, with every reason; nothing is recorded then.
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
    """
    if recorded := work.done(studio, job.job_id, STEP):
        return len(recorded)
    document = work.document_row(studio, document_id)
    inside = _Inside(studio, document, job.job_id, sealed, proven)
    now = studio.desk.database.clock.now()
    made = at_level(
        studio, job, studio.signers.seal(now), now, lambda level: [_make(studio, inside, level)]
    )
    return len(work.record(studio, document_id, job.job_id, STEP, made))


def recorded_of(studio: Studio, job_id: str) -> list[Row]:
    """Return the record of a release's container as that of a file of its own; [] if there is none."""
    found = work.done(studio, job_id, STEP)
    if not found:
        return []
    last = max(row["position"] for row in work.done(studio, job_id, "staged"))
    (row,) = found
    return [{**row, "role": "annex", "position": last + 1, "pages": None}]


def judge(
    studio: Studio, row: Row, sealed: Sequence[Row], proven: Sequence[SignedFile]
) -> SignedFile:
    """Validate a recorded container strictly, from the stored bytes.

    Raises:
        IntegrityError: code `release-not-valid`, with every reason.
    """
    document = work.document_row(studio, row["document_id"])
    inside = _Inside(studio, document, row["job_id"], sealed, proven)
    with Workbench(studio, document["id"]) as bench:
        return inside.validate(
            bench.fetch(row),
            seal=row["evidence"]["seal_sha256"],
            level=level_named(row["evidence"]["level"]),
            stamped_at=row["evidence"]["stamped_at"],
        )


class _Inside:
    """What belongs into one container: PDFs with their proofs, annexes with their signature files."""

    def __init__(
        self,
        studio: Studio,
        document: Row,
        job_id: str,
        sealed: Sequence[Row],
        proven: Sequence[SignedFile],
    ) -> None:
        self._studio = studio
        self.document = document
        self._sealed = sealed
        self.signed_main: str = sealed[0]["file_id"]
        self.signatures = [
            row for row in work.done(studio, job_id, "staged") if not annexes.is_pdf(row)
        ]
        known = {row["id"]: row for row in work.current_files(studio, document["id"], "original")}
        self.originals = [known[row["file_id"]] for row in self.signatures]
        with studio.desk.database.read() as connection:
            named = studio.desk.vault.with_names(
                document,
                [*({**row, "id": row["file_id"]} for row in sealed), *self.originals],
                connection,
            )
        names = member_names([row["name"] for row in named], beside=annexes.SUFFIX)
        signed_by = persons.on_files(studio, document["id"])
        of = persons.how_many(studio, document["id"])
        self.parts = [
            SealedPart(name, proof)
            for name, proof in zip(names[: len(sealed)], proven, strict=True)
        ]
        self.annexes = []
        for name, original, signature in zip(
            names[len(sealed) :], self.originals, self.signatures, strict=True
        ):
            signers = persons.carried(signed_by, signature)
            persons.require_all(signers, of)
            self.annexes.append(
                SignedAnnex(
                    name,
                    original["sha256"],
                    name + annexes.SUFFIX,
                    tuple(persons.expected(signers)),
                )
            )

    def members(self, bench: Workbench) -> list[Member]:
        """Return the files, fetched, in the order in which the container holds them."""
        found = [
            Member(part.name, bench.fetch(row), PDF)
            for part, row in zip(self.parts, self._sealed, strict=True)
        ]
        for annex, original, signature in zip(
            self.annexes, self.originals, self.signatures, strict=True
        ):
            found.append(Member(annex.name, bench.fetch(original), original["media_type"]))
            found.append(Member(annex.signature, bench.fetch(signature), SIGNATURE_TYPE, True))
        return found

    def validate(
        self, path: Path, *, seal: str, level: Level, stamped_at: str | None
    ) -> SignedFile:
        """Validate a container strictly."""
        return validate_container(
            path,
            self._studio.signers.own_roots,
            parts=self.parts,
            annexes=self.annexes,
            seal=seal,
            level=level,
            now=no_earlier(self._studio.desk.database.clock.now(), stamped_at),
            timestamp_roots=self._studio.desk.levels.longterm.timestamp_roots,
            algorithms=self._studio.signers.algorithms,
        )


def _make(studio: Studio, inside: _Inside, level: Level) -> work.Made:
    now = studio.desk.database.clock.now()
    identity = studio.signers.seal(now)
    main = inside.signed_main
    with Workbench(studio, inside.document["id"]) as bench:
        target = bench.target()
        made = write_container(
            target,
            inside.members(bench),
            identity,
            now=now,
            level=level,
            longterm=studio.desk.levels.longterm,
        )
        evidence = evidence_of(made) | {
            "signer": identity.name,
            "seal_sha256": identity.sha256,
            "media_type": CONTAINER_TYPE,
            "name": safe_stem(inside.document["symbol"]) + _EXTENSION,
        }
        inside.validate(
            target, seal=identity.sha256, level=level, stamped_at=evidence["stamped_at"]
        )
        staged = bench.stage(target, f"{STEP}:{main}")
    return work.Made(main, staged, evidence)
