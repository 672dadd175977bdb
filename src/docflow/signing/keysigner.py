"""The signers that pyHanko drives: what all have in common, and the one with its key in memory.

Rules:
- A key is never serialised, printed or handed out.
- ECDSA over P-256, P-384 or P-521 with SHA-256, -384 or -512, or RSA-PSS with SHA-256; nothing
  else signs.

pyHanko's own SimpleSigner re-reads and re-checks the key at every signature (0.1 s for RSA).
Source: ETSI TS 119 312 (algorithms), RFC 4056 (RSASSA-PSS in CMS).
"""

from collections.abc import Sequence

from asn1crypto import algos
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.signers import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from docflow.signing.trust import to_asn1

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
VerifyingKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

CURVE_DIGESTS = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_ATTRIBUTES_BYTES = 1_536  # signed attributes, issuer's name, algorithms: 700 to 900 are usual
PSS_SALT_BYTES = 32  # the length of SHA-256, as TS 119 312 recommends


class IdentitySigner(Signer):
    """A signer of one certificate, wherever its key is. Safe to share between threads."""

    def __init__(
        self,
        public_key: VerifyingKey,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
    ) -> None:
        """Sign for `certificate`; `chain` are the certificates between the signer's and the root."""
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        for link in chain:
            store.register(to_asn1(link))
        self.public_key = public_key
        self.digest_name = _digest_name(public_key)
        certificates = [certificate, *chain]
        room = sum(len(one.public_bytes(Encoding.DER)) for one in certificates)
        #: Hexadecimal digits that a signature of this signer needs in the file, with a margin. Kept
        #: tight, since every reader has to read the unused rest as well.
        self.reserved_digits = 2 * (room + signature_bytes(public_key) + _ATTRIBUTES_BYTES)
        super().__init__(
            signing_cert=to_asn1(certificate),
            cert_registry=store,
            embed_roots=False,
            signature_mechanism=_mechanism(public_key, self.digest_name),
        )

    async def async_sign_raw(
        self, data: bytes, digest_algorithm: str, dry_run: bool = False
    ) -> bytes:
        """Sign `data` (called by pyHanko).

        Raises:
            ValueError: if asked for another digest than the key's own.
        """
        if digest_algorithm != self.digest_name:
            raise ValueError(f"this key signs with {self.digest_name}, not {digest_algorithm}")
        if dry_run:
            return bytes(signature_bytes(self.public_key))
        return self.sign_bytes(data)

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the signature over `data`: DER for ECDSA, RSA-PSS otherwise.

        Raises:
            UnavailableError: if whatever holds the key does not answer.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.subject_name!r}>"

    def __reduce__(self) -> str:
        raise TypeError("a signing key does not leave its process")


class KeySigner(IdentitySigner):
    """Signs with a `cryptography` key object, loaded once."""

    def __init__(
        self, key: SigningKey, certificate: x509.Certificate, chain: Sequence[x509.Certificate]
    ) -> None:
        """Hold `key`; `chain` are the certificates between the signer's and the root."""
        self._key = key
        super().__init__(key.public_key(), certificate, chain)

    def sign_bytes(self, data: bytes) -> bytes:
        """See `IdentitySigner.sign_bytes`."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, pss(), hashes.SHA256())
        return self._key.sign(data, ec.ECDSA(DIGESTS[self.digest_name]()))


def pss() -> padding.PSS:
    """Return the padding of every RSA signature: MGF1 and salt of SHA-256."""
    return padding.PSS(padding.MGF1(hashes.SHA256()), PSS_SALT_BYTES)


def verifies(public_key: VerifyingKey, digest_name: str, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` over `data` is by this key, in the one form that we make."""
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, pss(), hashes.SHA256())
        else:
            public_key.verify(signature, data, ec.ECDSA(DIGESTS[digest_name]()))
    except InvalidSignature:
        return False
    return True


def signature_bytes(key: VerifyingKey) -> int:
    """Return how long a signature gets at most."""
    size = (key.key_size + 7) // 8
    return size if isinstance(key, rsa.RSAPublicKey) else 2 * size + 16


def _digest_name(key: VerifyingKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "sha256"
    return CURVE_DIGESTS[key.curve.name]


def _mechanism(key: VerifyingKey, digest_name: str) -> algos.SignedDigestAlgorithm:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return algos.SignedDigestAlgorithm({"algorithm": f"{digest_name}_ecdsa"})
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": digest_name},
            "mask_gen_algorithm": {
                "algorithm": "mgf1",
                "parameters": algos.DigestAlgorithm({"algorithm": digest_name}),
            },
            "salt_length": PSS_SALT_BYTES,
        }
    )
    return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})
