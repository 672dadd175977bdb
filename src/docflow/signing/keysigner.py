"""The signer that pyHanko drives: a private key held in memory, loaded once.

Rules:
- The key is never serialised, printed or handed out.
- ECDSA over P-256, P-384 or P-521 with SHA-256, -384 or -512, or RSA-PSS with SHA-256; nothing
  else signs.

pyHanko's own SimpleSigner re-reads and re-checks the key at every signature (0.1 s for RSA).
Source: ETSI TS 119 312 (algorithms), RFC 4056 (RSASSA-PSS in CMS).
"""

from collections.abc import Sequence

from asn1crypto import algos
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.signers import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from docflow.signing.trust import to_asn1

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CURVE_DIGESTS = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_ATTRIBUTES_BYTES = 1_536  # signed attributes, issuer's name, algorithms: 700 to 900 are usual
_PSS_SALT_BYTES = 32  # the length of SHA-256, as TS 119 312 recommends


class KeySigner(Signer):
    """Signs with a `cryptography` key object. Safe to share between threads."""

    def __init__(
        self, key: SigningKey, certificate: x509.Certificate, chain: Sequence[x509.Certificate]
    ) -> None:
        """Hold `key`; `chain` are the certificates between the signer's and the root."""
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        for link in chain:
            store.register(to_asn1(link))
        self._key = key
        self.digest_name = _digest_name(key)
        certificates = [certificate, *chain]
        room = sum(len(one.public_bytes(Encoding.DER)) for one in certificates)
        #: Hexadecimal digits that a signature of this signer needs in the file, with a margin. Kept
        #: tight, since every reader has to read the unused rest as well.
        self.reserved_digits = 2 * (room + _signature_bytes(key) + _ATTRIBUTES_BYTES)
        super().__init__(
            signing_cert=to_asn1(certificate),
            cert_registry=store,
            embed_roots=False,
            signature_mechanism=_mechanism(key, self.digest_name),
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
        if isinstance(self._key, rsa.RSAPrivateKey):
            if dry_run:
                return bytes(_signature_bytes(self._key))
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), _PSS_SALT_BYTES)
            return self._key.sign(data, pss, hashes.SHA256())
        if dry_run:
            return bytes(_signature_bytes(self._key))
        return self._key.sign(data, ec.ECDSA(_DIGESTS[self.digest_name]()))

    def __repr__(self) -> str:
        return f"<KeySigner for {self.subject_name!r}>"

    def __reduce__(self) -> str:
        raise TypeError("a signing key does not leave its process")


def _signature_bytes(key: SigningKey) -> int:
    """Return how long a signature gets at most."""
    size = (key.key_size + 7) // 8
    return size if isinstance(key, rsa.RSAPrivateKey) else 2 * size + 16


def _digest_name(key: SigningKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "sha256"
    return CURVE_DIGESTS[key.curve.name]


def _mechanism(key: SigningKey, digest_name: str) -> algos.SignedDigestAlgorithm:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return algos.SignedDigestAlgorithm({"algorithm": f"{digest_name}_ecdsa"})
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": digest_name},
            "mask_gen_algorithm": {
                "algorithm": "mgf1",
                "parameters": algos.DigestAlgorithm({"algorithm": digest_name}),
            },
            "salt_length": _PSS_SALT_BYTES,
        }
    )
    return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})
