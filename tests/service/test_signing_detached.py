"""CAdES and ASiC-E, judged by OpenSSL and unzip."""

import base64
import hashlib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docflow.kernel.errors import InvalidInputError, OutsideUnavailableError
from docflow.signing.detached import CONTAINER_TYPE, Member, sign_detached, write_container
from docflow.signing.levels import Level
from tests.levels_support import longterm
from tests.pki_support import LivePki
from tests.unit.signing.forge import make_pdf, run

_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_ASIC = "{http://uri.etsi.org/02918/v1.2.1#}"


def verify(pki: LivePki, signature: Path, content: Path, *, check: bool = True) -> str:
    return run(
        "openssl", "cms", "-verify", "-binary", "-cades", "-inform", "DER", "-in", signature,
        "-content", content, "-CAfile", pki.pem("root"), "-purpose", "any", "-no_check_time",
        "-out", content.with_suffix(".out"), check=check,
    )  # fmt: skip


@pytest.mark.parametrize("level", ["B-B", "B-T"])
def test_openssl_verifies_a_detached_signature_and_finds_a_changed_file(
    pki: LivePki, tmp_path: Path, level: Level
) -> None:
    content = tmp_path / "phụ lục.xlsx"
    content.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 5000)
    signature = tmp_path / "s.p7s"
    signer = pki.identity("seal", "organisation")
    made = sign_detached(
        content, signature, signer, now=pki.now(), level=level, longterm=longterm(pki)
    )
    assert made.sha256 == hashlib.sha256(signature.read_bytes()).hexdigest()
    assert "CAdES Verification successful" in verify(pki, signature, content)
    shown = run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", signature)
    assert "Mar  2 01:30:00 2026" in shown
    assert "id-smime-aa-signingCertificateV2" in shown
    assert ("id-smime-aa-timeStampToken" in shown) == (level == "B-T")
    content.write_bytes(content.read_bytes() + b"!")
    assert "successful" not in verify(pki, signature, content, check=False)


@pytest.mark.parametrize("level", ["B-B", "B-T"])
def test_a_container_holds_the_files_and_a_manifest_that_openssl_verifies(
    pki: LivePki, tmp_path: Path, level: Level
) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    (tmp_path / "b.csv").write_text("số,ngày\n1,2\n")
    members = [
        Member("Quyết định & 15.pdf", tmp_path / "a.pdf", "application/pdf"),
        Member("phụ lục 1.csv", tmp_path / "b.csv", "text/csv"),
    ]
    target = tmp_path / "c.asice"
    write_container(
        target, members, pki.identity("seal", "organisation"), now=pki.now(), level=level,
        longterm=longterm(pki),
    )  # fmt: skip
    head = target.read_bytes()[:100]
    assert head[30:38] == b"mimetype"
    assert head[28:30] == b"\0\0"  # no extra field
    assert head[38 : 38 + len(CONTAINER_TYPE)] == CONTAINER_TYPE.encode()
    run("unzip", "-tq", target)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist()[0] == "mimetype"
        for name in ("META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s"):
            (tmp_path / Path(name).name).write_bytes(archive.read(name))
        manifest = ElementTree.fromstring(  # noqa: S314 - our own
            archive.read("META-INF/ASiCManifest001.xml")
        )
        told = {
            one.get("URI"): base64.b64decode(one.findtext(f"{_DS}DigestValue") or "")
            for one in manifest.findall(f"{_ASIC}DataObjectReference")
        }
        assert list(told) == ["Quy%E1%BA%BFt%20%C4%91%E1%BB%8Bnh%20%26%2015.pdf",
                              "ph%E1%BB%A5%20l%E1%BB%A5c%201.csv"]  # fmt: skip
        assert list(told.values()) == [
            hashlib.sha256(archive.read(one.name)).digest() for one in members
        ]
    verify(pki, tmp_path / "signature001.p7s", tmp_path / "ASiCManifest001.xml")


@pytest.mark.parametrize(
    "names", [[], ["a/b"], ["..\\x"], ["mimetype"], ["META-INF"], ["a\n"], ["A.pdf", "a.PDF"], [""]]
)
def test_names_that_no_file_can_have_are_refused(
    pki: LivePki, tmp_path: Path, names: list[str]
) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(InvalidInputError) as caught:
        write_container(
            tmp_path / "c", [Member(name, tmp_path / "a", "text/plain") for name in names],
            pki.identity("seal", "organisation"), now=pki.now(),
        )  # fmt: skip
    assert caught.value.code == "container-name"


def test_nothing_is_left_when_the_authority_is_away(pki: LivePki, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pki.fails("/tsa/", "away"), pytest.raises(OutsideUnavailableError):
        write_container(
            tmp_path / "c", [Member("a", tmp_path / "a", "text/plain")],
            pki.identity("seal", "organisation"), now=pki.now(), level="B-T",
            longterm=longterm(pki),
        )  # fmt: skip
    assert (tmp_path / "c").read_bytes() == b""
