"""Encryption of released files to their recipients' certificates.

Rules:
- The form is CMS AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084): one random key per file,
  wrapped for each recipient by RSA-OAEP (RFC 4055) or by ephemeral-static ECDH (RFC 5753).
- Plaintext is handed on only after the whole file has proved authentic.
- Memory is bounded in both directions, whatever the file says about itself.
- Nothing here reads a clock or a setting, and nothing here imports pyHanko: a recipient opens a file
  with these modules alone.

Modules: `making` and `opening` (the two directions), `recipients` and `unwrap` (the file's key, put
under certificates and taken out), `suitability` (may this certificate be used), `keyfile` (a
recipient's private key), `algorithms` and `asn1` (names, structures), `tlv` (BER from a stream).
"""

from docflow.signing.envelope.making import EnvelopeFacts, encrypt
from docflow.signing.envelope.opening import decrypt
from docflow.signing.envelope.recipients import MAX_RECIPIENTS, RecipientFacts
from docflow.signing.envelope.suitability import Suitability, require_suitable, unsuitable

__all__ = [
    "MAX_RECIPIENTS",
    "EnvelopeFacts",
    "RecipientFacts",
    "Suitability",
    "decrypt",
    "encrypt",
    "require_suitable",
    "unsuitable",
]
