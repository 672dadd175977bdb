"""The algorithms by which a file's key is put under a recipient's public key.

Rules:
- Written: RSA-OAEP with SHA-256 throughout; ECDH with the hash that RFC 5753 pairs with the curve
  (P-256 and SHA-256, P-384 and SHA-384, P-521 and SHA-512), always AES-256 key wrap.
- Read besides: the other SHA-2 hashes, and SHA-1 inside OAEP and inside the key derivation, which is
  what OpenSSL writes unless told otherwise; neither use rests on collision resistance.

Source: RFC 4055, RFC 5753, RFC 3565, RFC 5084; object identifiers from SEC 1 and X9.63.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

AUTH_ENVELOPED_DATA = "1.2.840.113549.1.9.16.1.23"
DATA = "1.2.840.113549.1.7.1"
AES256_GCM = "2.16.840.1.101.3.4.1.46"
AES256_WRAP = "2.16.840.1.101.3.4.1.45"
RSAES_OAEP = "1.2.840.113549.1.1.7"

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
MOST_CONTENT = 2**36 - 32  # bytes that one key and nonce may encrypt (NIST SP 800-38D)
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 16384

HASHES: Mapping[str, type[hashes.HashAlgorithm]] = MappingProxyType(
    {
        "sha1": hashes.SHA1,
        "sha256": hashes.SHA256,
        "sha384": hashes.SHA384,
        "sha512": hashes.SHA512,
    }
)
# dhSinglePass-stdDH-…kdf-scheme by hash
SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "1.3.133.16.840.63.0.2": "sha1",
        "1.3.132.1.11.1": "sha256",
        "1.3.132.1.11.2": "sha384",
        "1.3.132.1.11.3": "sha512",
    }
)
# curve by cryptography's name: how it is called here, and the hash to write
CURVES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        ec.SECP256R1.name: ("P-256", "sha256"),
        ec.SECP384R1.name: ("P-384", "sha384"),
        ec.SECP521R1.name: ("P-521", "sha512"),
    }
)


def scheme_of(hash_name: str) -> str:
    """Return the object identifier of the ECDH scheme whose key derivation uses this hash."""
    return next(oid for oid, name in SCHEMES.items() if name == hash_name)


def oaep(hash_name: str, mask_hash_name: str) -> padding.OAEP:
    """Return OAEP padding without a label."""
    return padding.OAEP(
        mgf=padding.MGF1(algorithm=HASHES[mask_hash_name]()),
        algorithm=HASHES[hash_name](),
        label=None,
    )


def agreed_key(
    private: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    hash_name: str,
    shared_info: bytes,
) -> bytes:
    """Return the key-encryption key: ECDH, then the X9.63 derivation over `shared_info`."""
    secret = private.exchange(ec.ECDH(), public)
    return X963KDF(algorithm=HASHES[hash_name](), length=KEY_BYTES, sharedinfo=shared_info).derive(
        secret
    )
