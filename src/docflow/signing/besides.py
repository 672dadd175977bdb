"""A signature beside a file that is no PDF, in two steps, for a key on the person's own card.

1. `prepare_beside` tells what the card has to sign: the DER of the signed attributes (the file's digest,
   the signing time, the certificate).
2. `finish_beside` writes the signature file (CAdES, .p7s) with the card's signature, a time stamp from
   B-T and evidence at B-LT, beside the signers who were there before.

Rules:
- The file is read at both steps, and has to be the same; it is never changed.
- A signature that does not verify under the certificate gets into no file.
- Both steps only open the paths that they are given.

Source: ETSI EN 319 122-1 (CAdES), RFC 5652, RFC 3161.
"""

import hashlib
from datetime import datetime
from pathlib import Path

from asn1crypto import cms

from docflow.kernel.errors import IntegrityError
from docflow.signing.blocking import blocking
from docflow.signing.detached import write_signature
from docflow.signing.embedding import CHUNK_BYTES, Embedded
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.longterm import LongTerm
from docflow.signing.offered import CardSigner, Offered, attributes_of, handed
from docflow.signing.outside.timestamps import Timestamper


def prepare_beside(source: Path, identity: SignerIdentity, *, now: datetime) -> Offered:
    """Tell what the card has to sign for a signature over `source`, whatever it is.

    Args:
        source: the file to sign.
        identity: whose card signs.
        now: the signing time.
    """
    signer = identity.signer
    sha256, digest = _digests(source, signer.digest_name)
    return Offered(
        document_digest=digest,
        attributes=attributes_of(signer, digest, now),
        digest_name=signer.digest_name,
        sha256=sha256,
    )


def finish_beside(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    offered: Offered,
    signature: bytes,
    *,
    now: datetime,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
    beside: Path | None = None,
) -> Embedded:
    """Write the signature file over `source` with the card's signature to `target`.

    Args:
        source: the file that was signed.
        target: takes the signature file (.p7s); not made if it failed.
        identity: whose card signed.
        offered: what `prepare_beside` told.
        signature: DER for ECDSA, RSA-PSS otherwise.
        now: the current instant.
        level: up to B-LT.
        longterm: makes levels above B-B.
        beside: a signature file of others over the same file, whose signers `target` shall hold too.

    Raises:
        InvalidInputError: code `signature-refused` if the signature is not by the identity's key.
        IntegrityError: if `source` is not the file that was prepared; code `signature-not-valid` if
            `beside` is no signature file.
        ValueError: if the level is B-LTA, or needs time-stamp authorities that are not given.
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
        ConflictError: code `level-unavailable` or `signer-revoked`.
    """
    signer = handed(identity, offered, signature)
    told = (offered.sha256, offered.document_digest)
    if _digests(source, offered.digest_name) != told:
        raise IntegrityError("the file is not the one that the card signed")
    return write_signature(
        target,
        lambda stamper: _cms(signer, offered, stamper),
        identity,
        now=now,
        level=level,
        longterm=longterm,
        beside=beside,
    )


def _cms(signer: CardSigner, offered: Offered, timestamper: Timestamper | None) -> bytes:
    signed = blocking(
        signer.async_sign_prescribed_attributes(
            offered.digest_name,
            cms.CMSAttributes.load(offered.attributes),
            timestamper=timestamper,
        )
    )
    return bytes(signed.dump())


def _digests(source: Path, name: str) -> tuple[str, bytes]:
    """Return a file's SHA-256, and its digest by the name of a hash."""
    sha256, other = hashlib.sha256(), hashlib.new(name)
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            other.update(chunk)
    return sha256.hexdigest(), other.digest()
