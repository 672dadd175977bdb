"""Trusted lists of ETSI TS 119 612 as files, beside PEM certificates."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.errors import ConfigurationError
from docflow.signing.verifying.trusted_lists import ListRules, load_anchors, read_list
from tests.unit.signing.forge import Forge, Made

_TYPES = "http://uri.etsi.org/TrstSvc/Svctype/"
ISSUED = "2026-03-02T02:00:00Z"
ACCEPTED = ListRules(unsigned="accept")
_STATUS = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"


def service(made: Made, kind: str = "CA/QC", status: str = "granted") -> str:
    der = base64.b64encode(made.certificate.public_bytes(Encoding.DER)).decode()
    return f"""<TSPService><ServiceInformation>
      <ServiceTypeIdentifier>{_TYPES}{kind}</ServiceTypeIdentifier>
      <ServiceDigitalIdentity><DigitalId><X509Certificate>{der}</X509Certificate></DigitalId>
      </ServiceDigitalIdentity>
      <ServiceStatus>{_STATUS}{status}</ServiceStatus>
      <StatusStartingTime>2020-01-01T00:00:00Z</StatusStartingTime>
    </ServiceInformation></TSPService>"""


def trusted_list(*services: str, kind: str = "EUgeneric", head: str = "") -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}
    <TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#">
      <SchemeInformation>
        <TSLType>http://uri.etsi.org/TrstSvc/TrustedList/TSLType/{kind}</TSLType>
        <ListIssueDateTime>{ISSUED}</ListIssueDateTime>
        <NextUpdate><dateTime>2026-06-01T00:00:00Z</dateTime></NextUpdate>
      </SchemeInformation>
      <TrustServiceProviderList><TrustServiceProvider><TSPServices>{"".join(services)}
      </TSPServices></TrustServiceProvider></TrustServiceProviderList>
    </TrustServiceStatusList>""".encode()


def test_granted_authorities_and_stampers_become_anchors(forge: Forge) -> None:
    other = Forge()
    found = read_list(
        trusted_list(
            service(forge.root),
            service(forge.authority, "TSA/QTST"),
            service(other.root, status="withdrawn"),
            service(other.authority, "Certstatus/OCSP/QC"),
        ),
        ACCEPTED,
    )
    assert found.authorities == (forge.root.certificate,)
    assert found.stamping == (forge.authority.certificate,)
    assert found.next_update == datetime(2026, 6, 1, tzinfo=UTC)


def test_a_folder_holds_both_kinds_of_file(forge: Forge, tmp_path: Path) -> None:
    (tmp_path / "vn.xml").write_bytes(trusted_list(service(forge.root)))
    (tmp_path / "more.pem").write_bytes(forge.authority.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "README").write_text("not an anchor")
    anchors = load_anchors([tmp_path], ACCEPTED)
    assert set(anchors.roots.certificates) == {
        forge.root.certificate, forge.authority.certificate,
    }  # fmt: skip
    (unchecked,) = anchors.doubts(datetime(2026, 5, 1, tzinfo=UTC))
    assert "vn.xml was not checked" in unchecked
    sentences = anchors.doubts(datetime(2026, 7, 1, tzinfo=UTC))
    assert "vn.xml was to be replaced by 2026-06-01" in sentences[1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not well-formed"),
        (b"<a/>", "TrustServiceStatusList"),
        (b'<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"/>', "no authority"),
        (trusted_list(kind="EUlistofthelists"), "list of lists"),
        (trusted_list(head="<!DOCTYPE a>"), "document type"),
        (
            trusted_list(head='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'),
            "document type",
        ),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "list.xml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=why) as caught:
        load_anchors([path], ACCEPTED)
    assert "list.xml" in str(caught.value)


def test_a_broken_certificate_in_a_list_is_refused(forge: Forge) -> None:
    broken = trusted_list(service(forge.root)).replace(b"<X509Certificate>M", b"<X509Certificate>N")
    with pytest.raises(ValueError, match="certificate"):
        read_list(broken, ACCEPTED)
