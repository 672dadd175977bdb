"""The file's key, taken out with a recipient's private key.

Rules:
- With a certificate, only what is addressed to it is tried; without one, everything that a key of
  this kind could open.
- Structures are checked to be bounded DER before asn1crypto sees them; what is not understood exactly
  is refused, never guessed.

Source: RFC 5652 section 6.2, RFC 4055 section 4.1, RFC 5753 section 3.1.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from asn1crypto import algos, cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from docflow.kernel.errors import DocflowError
from docflow.signing.envelope.algorithms import (
    AES256_WRAP,
    HASHES,
    KEY_BYTES,
    RSAES_OAEP,
    SCHEMES,
    agreed_key,
    oaep,
)
from docflow.signing.envelope.asn1 import parsing, shared_info, to_asn1
from docflow.signing.envelope.faults import damaged, not_a_recipient, unsupported, wrong_key
from docflow.signing.envelope.recipients import MAX_RECIPIENTS

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_SHOWN_RECIPIENTS, _SHOWN_LETTERS = 5, 120


def file_key(infos: bytes, key: PrivateKey, certificate: x509.Certificate | None) -> bytes:
    """Return the content-encryption key from RecipientInfos (DER that was checked).

    Raises:
        InvalidInputError: if the file is not addressed to `certificate` (`not-a-recipient`), uses
            something else than what is opened here (`envelope-unsupported`), or nothing opens with
            `key` (`key-does-not-open`).
        IntegrityError: if it is malformed, or does not open though it is addressed to this key's
            certificate (`envelope-damaged`).
    """
    if certificate is not None:
        require_pair(key, certificate)
    mine = to_asn1(certificate) if certificate is not None else None
    with parsing("the list of recipients"):
        found = list(cms.RecipientInfos.load(infos, strict=True))
        if len(found) > MAX_RECIPIENTS:
            raise damaged(f"it has more than {MAX_RECIPIENTS} recipients")
        attempts = [one for info in found for one in _addressed(info, key, mine)]
    if mine is not None and not attempts:
        raise not_a_recipient(f"it is for {_names(found)}")
    opened = _first(attempts)
    if opened is not None:
        return opened
    if mine is not None:
        raise damaged("the key inside, addressed to this certificate, does not open")
    raise wrong_key(f"it is for {_names(found)}")


def _first(attempts: Sequence[Callable[[], bytes]]) -> bytes | None:
    """Return the first key that opens; if none does, raise what was not supported on the way."""
    refusal: DocflowError | None = None
    for attempt in attempts:
        try:
            opened = attempt()
        except DocflowError as error:
            refusal = error
        except (ValueError, TypeError, KeyError, InvalidUnwrap):
            continue
        else:
            if len(opened) == KEY_BYTES:
                return opened
    if refusal is not None:
        raise refusal
    return None


def require_pair(key: PrivateKey, certificate: x509.Certificate) -> None:
    """Check that `certificate` is of `key`.

    Raises:
        InvalidInputError: if it is another key's (code `key-does-not-open`).
    """
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise wrong_key("it does not belong to the certificate given with it")


def _addressed(
    info: cms.RecipientInfo, key: PrivateKey, mine: asn1_x509.Certificate | None
) -> Iterator[Callable[[], bytes]]:
    """Give what may be tried of one recipient's entry."""
    if info.name == "ktri" and isinstance(key, rsa.RSAPrivateKey):
        if _is_for(info.chosen["rid"], mine):
            yield partial(_transported, info.chosen, key)
    elif info.name == "kari" and isinstance(key, ec.EllipticCurvePrivateKey):
        for each in info.chosen["recipient_encrypted_keys"]:
            if _is_for(each["rid"], mine):
                yield partial(_agreed, info.chosen, each["encrypted_key"].native, key)


def _is_for(
    rid: cms.RecipientIdentifier | cms.KeyAgreementRecipientIdentifier,
    mine: asn1_x509.Certificate | None,
) -> bool:
    if mine is None:
        return True
    if rid.name == "issuer_and_serial_number":
        return bool(
            rid.chosen["issuer"].dump() == mine.issuer.dump()
            and rid.chosen["serial_number"].native == mine.serial_number
        )
    named = rid.chosen["subject_key_identifier"] if rid.name == "r_key_id" else rid.chosen
    return bool(mine.key_identifier is not None and named.native == mine.key_identifier)


def _transported(info: cms.KeyTransRecipientInfo, key: rsa.RSAPrivateKey) -> bytes:
    algorithm = info["key_encryption_algorithm"]
    wanted = "v0" if info["rid"].name == "issuer_and_serial_number" else "v2"
    if info["version"].native != wanted:
        raise damaged("a recipient's entry has another version than its form")
    if algorithm["algorithm"].dotted != RSAES_OAEP:
        raise unsupported("RSA encryption without OAEP")
    parameters = algorithm["parameters"]
    if not isinstance(parameters, algos.RSAESOAEPParams):
        raise damaged("RSA-OAEP has no parameters")
    source, mask = parameters["p_source_algorithm"], parameters["mask_gen_algorithm"]
    if source["algorithm"].native != "p_specified" or source["parameters"].native != b"":
        raise unsupported("RSA-OAEP with a label")
    if mask["algorithm"].native != "mgf1":
        raise unsupported("RSA-OAEP with another mask than MGF1")
    padding = oaep(_hash(parameters["hash_algorithm"]), _hash(mask["parameters"]))
    return key.decrypt(info["encrypted_key"].native, padding)


def _hash(algorithm: algos.DigestAlgorithm) -> str:
    name = str(algorithm["algorithm"].native)
    if name not in HASHES or algorithm["parameters"].native is not None:
        raise unsupported(f"RSA-OAEP with the hash {_printable(name)}")
    return name


def _agreed(
    info: cms.KeyAgreeRecipientInfo, wrapped: bytes, key: ec.EllipticCurvePrivateKey
) -> bytes:
    algorithm, originator = info["key_encryption_algorithm"], info["originator"]
    hash_name = SCHEMES.get(algorithm["algorithm"].dotted)
    if info["version"].native != "v3":
        raise damaged("a recipient's entry has another version than its form")
    if hash_name is None or originator.name != "originator_key":
        raise unsupported("another key agreement than ephemeral-static ECDH (stdDH)")
    if info["ukm"].native is not None:
        raise unsupported("key agreement with further keying material of the sender")
    key_info = algorithm["parameters"].dump()
    wrap = cms.KeyEncryptionAlgorithm.load(key_info, strict=True)
    if wrap["algorithm"].dotted != AES256_WRAP or wrap["parameters"].native is not None:
        raise unsupported("another key wrap than AES-256")
    public = _ephemeral(originator.chosen, key.curve)
    kek = agreed_key(key, public, hash_name, shared_info(key_info))
    return aes_key_unwrap(kek, wrapped)


def _ephemeral(originator: cms.PublicKeyInfo, curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    """Return the sender's ephemeral key, which must lie on the recipient's curve."""
    if originator["algorithm"]["algorithm"].native != "ec":
        raise unsupported("an ephemeral key that is not of an elliptic curve")
    unused, point = originator["public_key"].contents[:1], originator["public_key"].contents[1:]
    if unused != b"\0":
        raise damaged("the ephemeral key is not whole bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)


def _names(infos: list[cms.RecipientInfo]) -> str:
    """Say whom a file is for, in so many words as fit a sentence."""
    names = []
    with parsing("the list of recipients"):
        for info in infos:
            if info.name == "ktri":
                names.append(_identifier(info.chosen["rid"]))
            elif info.name == "kari":
                keys = info.chosen["recipient_encrypted_keys"]
                names += [_identifier(each["rid"]) for each in keys]
            else:
                names.append("a recipient without a certificate")
    more = len(names) - _SHOWN_RECIPIENTS
    return "; ".join(names[:_SHOWN_RECIPIENTS]) + (f"; and {more} more" if more > 0 else "")


def _identifier(rid: cms.RecipientIdentifier | cms.KeyAgreementRecipientIdentifier) -> str:
    if rid.name == "issuer_and_serial_number":
        issuer = _printable(rid.chosen["issuer"].human_friendly)
        return f"certificate {rid.chosen['serial_number'].native:x} of {issuer}"
    named = rid.chosen["subject_key_identifier"] if rid.name == "r_key_id" else rid.chosen
    return f"the key {_printable(named.native.hex())}"


def _printable(text: str) -> str:
    """Return text from a file so that it cannot steer a terminal or fill a screen."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN_LETTERS])
