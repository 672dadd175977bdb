"""What verification tests judge: signatures of every kind and level, made with a living PKI."""

import asyncio
import base64
import hashlib
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from asn1crypto import cms, crl
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, PdfTimeStamper, SimpleSigner
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

from docflow.signing.trust import to_asn1
from tests.pki_support import PASSPHRASE, LivePki
from tests.unit.signing.forge import make_pdf

T = TypeVar("T")
MIMETYPE = "application/vnd.etsi.asic-e+zip"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


class Maker:
    """Makes signed files with the living PKI, as another program than docflow would."""

    def __init__(self, pki: LivePki) -> None:
        self.pki = pki

    def signer(self, label: str = "person", issuer: str = "authority") -> SimpleSigner:
        path = self.pki.pkcs12(label, issuer)
        signer = SimpleSigner.load_pkcs12(  # type: ignore[no-untyped-call]
            path, passphrase=PASSPHRASE
        )
        assert isinstance(signer, SimpleSigner)
        return signer

    def pdf(
        self,
        level: str = "B-B",
        data: bytes | None = None,
        *,
        label: str = "person",
        issuer: str = "authority",
        tsa: str = "tsa",
        box: tuple[int, int, int, int] | None = None,
        **metadata: Any,
    ) -> bytes:
        """Return a PDF with one PAdES signature of this level; `box` makes it visible."""
        values: dict[str, Any] = {
            "field_name": "Sig1",
            "md_algorithm": "sha256",
            "subfilter": fields.SigSeedSubFilter.PADES,
            **metadata,
        }
        signer = self.signer(label, issuer)

        async def make(session: aiohttp.ClientSession) -> bytes:
            if level in {"B-LT", "B-LTA"}:
                values["validation_context"] = self._context(session)
                values["embed_validation_info"] = True
                values["use_pades_lta"] = level == "B-LTA"
            stamper = HTTPTimeStamper(self.pki.tsa_url(tsa), session=session)
            out = BytesIO()
            await PdfSigner(
                PdfSignatureMetadata(**values),
                signer=signer,
                timestamper=None if level == "B-B" else stamper,
                new_field_spec=fields.SigFieldSpec(values["field_name"], box=box) if box else None,
            ).async_sign_pdf(
                IncrementalPdfFileWriter(BytesIO(data or make_pdf("Điều 1"))),
                output=out,
                bytes_reserved=16_384,
            )
            return out.getvalue()

        return online(make)

    def archived(self, data: bytes, tsa: str = "tsa-second") -> bytes:
        """Return a PDF with one more archive timestamp."""

        async def make(session: aiohttp.ClientSession) -> bytes:
            stamper = PdfTimeStamper(HTTPTimeStamper(self.pki.tsa_url(tsa), session=session))
            out = BytesIO()
            await stamper.async_update_archival_timestamp_chain(
                PdfFileReader(BytesIO(data)), self._context(session), output=out
            )
            return out.getvalue()

        return online(make)

    def stamped(self, data: bytes, field_name: str, tsa: str = "tsa") -> bytes:
        """Return a PDF with a document timestamp in this field, and nothing else."""

        async def make(session: aiohttp.ClientSession) -> bytes:
            stamper = PdfTimeStamper(
                HTTPTimeStamper(self.pki.tsa_url(tsa), session=session), field_name=field_name
            )
            out = BytesIO()
            writer = IncrementalPdfFileWriter(BytesIO(data))
            await stamper.async_timestamp_pdf(writer, "sha256", output=out)
            return out.getvalue()

        return online(make)

    def cades(
        self,
        data: bytes,
        *,
        label: str = "person",
        tsa: str | None = None,
        detached: bool = True,
        revocation: bool = False,
    ) -> bytes:
        """Return a CAdES signature in DER, of level B-B, B-T or (with `revocation`) B-LT."""
        signer = self.signer(label)

        async def make(session: aiohttp.ClientSession) -> bytes:
            stamper = HTTPTimeStamper(self.pki.tsa_url(tsa), session=session) if tsa else None
            signed = await signer.async_sign_general_data(
                data, "sha256", detached=detached, use_cades=True, timestamper=stamper
            )
            return bytes(signed.dump())

        made = online(make)
        return self.with_revocation(made) if revocation else made

    def with_revocation(self, der: bytes) -> bytes:
        """Return a CAdES signature with revocation lists and answers for every certificate inside."""

        async def fetch(session: aiohttp.ClientSession) -> tuple[list[Any], list[Any]]:
            lists = []
            for name in ("root", "authority", "tsa-authority"):
                address = f"http://127.0.0.1:{self.pki.port}/docflow/crls/{name}/latest.crl"
                async with session.get(address) as answer:
                    lists.append(crl.CertificateList.load(await answer.read()))
            return lists, []

        lists, _ = online(fetch)
        info = cms.ContentInfo.load(der)
        info["content"]["crls"] = [cms.RevocationInfoChoice({"crl": one}) for one in lists]
        info["content"]["certificates"] = [
            *info["content"]["certificates"],
            *(
                cms.CertificateChoices({"certificate": to_asn1(self.pki.certificate(name))})
                for name in ("tsa-authority", "tsa")
            ),
        ]
        return bytes(info.dump())

    def token(self, data: bytes, tsa: str = "tsa") -> bytes:
        """Return a timestamp token over `data`."""

        async def make(session: aiohttp.ClientSession) -> bytes:
            stamper = HTTPTimeStamper(self.pki.tsa_url(tsa), session=session)
            token = await stamper.async_timestamp(hashlib.sha256(data).digest(), "sha256")
            return bytes(token.dump())

        return online(make)

    def asic(
        self,
        files: Mapping[str, bytes],
        *,
        tsa: str | None = None,
        label: str = "person",
        token: str | None = None,
        extra: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """Return an ASiC-E container with one CAdES signature over a manifest of all files."""
        signed = manifest("META-INF/signature001.p7s", files)
        entries = {
            **files,
            "META-INF/ASiCManifest001.xml": signed,
            "META-INF/signature001.p7s": self.cades(signed, tsa=tsa, label=label),
        }
        if token is not None:
            stamped = manifest("META-INF/timestamp001.tst", files)
            entries["META-INF/ASiCManifest002.xml"] = stamped
            entries["META-INF/timestamp001.tst"] = self.token(stamped, token)
        return container({**entries, **(extra or {})})

    def _context(self, session: aiohttp.ClientSession) -> ValidationContext:
        return ValidationContext(
            trust_roots=[to_asn1(self.pki.certificate("root"))],
            other_certs=[to_asn1(self.pki.certificate("tsa-authority"))],
            allow_fetching=True,
            fetchers=AIOHttpFetcherBackend(session).get_fetchers(),
            moment=self.pki.now(),
            revocation_mode="hard-fail",
        )


def online(make: Callable[[aiohttp.ClientSession], Awaitable[T]]) -> T:
    """Return what `make` makes with an open HTTP session."""

    async def run() -> T:
        async with aiohttp.ClientSession() as session:
            return await make(session)

    return asyncio.run(run())


def manifest(
    signature: str, files: Mapping[str, bytes], digests: Mapping[str, bytes] | None = None
) -> bytes:
    """Return an ASiCManifest over these files."""
    references = "".join(
        f'<asic:DataObjectReference URI="{name}" MimeType="application/octet-stream">'
        f'<ds:DigestMethod Algorithm="{_SHA256}"/><ds:DigestValue>'
        f"{base64.b64encode((digests or {}).get(name) or hashlib.sha256(data).digest()).decode()}"
        "</ds:DigestValue></asic:DataObjectReference>"
        for name, data in files.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f'<asic:SigReference URI="{signature}" MimeType="application/pkcs7-signature"/>'
        f"{references}</asic:ASiCManifest>"
    ).encode()


def container(entries: Mapping[str, bytes], mimetype: str = MIMETYPE) -> bytes:
    """Return a ZIP with `mimetype` first, stored."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mimetype", mimetype, zipfile.ZIP_STORED)
        for name, data in entries.items():
            packed.writestr(name, data)
    return out.getvalue()


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
