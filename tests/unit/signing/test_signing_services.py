"""The signing services file, and what requests to other machines may do."""

from datetime import timedelta
from pathlib import Path

import pytest

from docflow.kernel.errors import ConfigurationError, OutsideUnavailableError
from docflow.signing.levels import Level
from docflow.signing.outside.fetching import Fetcher, FetchError, FetchLimits
from docflow.signing.outside.services import services_from_file
from docflow.signing.outside.timestamps import TimestampAuthority
from docflow.signing.pades import seal, sign_person
from tests.levels_support import LOOPBACK, QUICK, longterm
from tests.pki_support import LivePki
from tests.unit.signing.forge import make_pdf

FULL = """
timestamps:
  roots: [root.pem]
  seconds: 5
  clock_tolerance_seconds: 60
  authorities:
    - {name: first, url: "https://tsa.example.vn/", basic: {user: snv, password_file: secret}}
    - {name: second, url: "http://tsa2.example.vn/ts", policies: [1.2.704.1]}
    - {url: "http://127.0.0.1:1/", bearer_file: secret}
revocation: {seconds: 4, max_bytes: 1000, private_hosts: [ocsp.internal]}
refresh_seconds: 120
"""


def written(tmp_path: Path, text: str, pki: LivePki | None = None) -> Path:
    (tmp_path / "secret").write_text("geheim\n")
    if pki is not None:
        (tmp_path / "root.pem").write_bytes(pki.pem("root").read_bytes())
    path = tmp_path / "services.yaml"
    path.write_text(text)
    return path


def test_everything_that_the_file_says_is_read(tmp_path: Path, pki: LivePki) -> None:
    services = services_from_file(written(tmp_path, FULL, pki))
    first, second, third = services.authorities
    assert (first.name, first.authorization) == ("first", "Basic c252OmdlaGVpbQ==")
    assert second.policies == {"1.2.704.1"}
    assert (third.name, third.authorization) == ("127.0.0.1", "Bearer geheim")
    assert "geheim" not in repr(services)
    assert len(services.timestamp_roots.certificates) == 1
    assert services.timestamp_limits == FetchLimits(5, 256 * 1024, 0)
    assert services.revocation_limits.max_bytes == 1000
    assert services.private_hosts == {"ocsp.internal"}
    assert (services.clock_tolerance, services.refresh) == (
        timedelta(seconds=60), timedelta(seconds=120)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("refresh_seconds: 120", "refresh: 120", "it must be a mapping with"),
        ("seconds: 5", "seconds: 0", "seconds: it must be a number above 0"),
        ("seconds: 5", "seconds: yes", "seconds: it must be a number above 0"),
        ("https://tsa.example.vn/", "http://tsa.example.vn/", "never sent over plain http"),
        ("https://tsa.example.vn/", "ftp://tsa.example.vn/", "it must be https://"),
        ("https://tsa.example.vn/", "https://u:p@tsa.example.vn/", "without a password"),
        ("password_file: secret", "password_file: none", "the file none cannot be read"),
        ("name: second", "name: first", "each authority needs a name of its own"),
        ("bearer_file: secret", "bearer_file: secret, basic: {}", "either `basic` or"),
        ("roots: [root.pem]", "roots: [none.pem]", "none.pem does not exist"),
        ("timestamps:", "timestamps: [", "it cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_place(
    tmp_path: Path, pki: LivePki, old: str, new: str, told: str
) -> None:
    path = written(tmp_path, FULL.replace(old, new, 1), pki)
    with pytest.raises(ConfigurationError) as caught:
        services_from_file(path)
    assert told in caught.value.detail
    assert "geheim" not in caught.value.detail


def test_the_secret_goes_to_the_authority_and_into_no_error(pki: LivePki, tmp_path: Path) -> None:
    secret = TimestampAuthority("a", pki.tsa_url(), authorization="Bearer geheim")
    makes = longterm(pki, authorities=(secret,))
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    signer = pki.identity("person", "person")
    sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=pki.now(), level="B-T",
                longterm=makes)  # fmt: skip
    assert {headers["HTTP_AUTHORIZATION"] for _, headers in pki.requests} == {"Bearer geheim"}
    with pki.fails("tsa", "unauthorised"), pytest.raises(OutsideUnavailableError) as caught:
        sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=pki.now(), level="B-T",
                    longterm=makes)  # fmt: skip
    assert "HTTP status 401" in caught.value.detail
    assert "geheim" not in repr(caught.value)


class TestRequests:
    def url(self, pki: LivePki) -> str:
        return f"http://127.0.0.1:{pki.port}/docflow/crls/authority/latest.crl"

    def test_an_address_inside_is_refused_unless_named(self, pki: LivePki) -> None:
        for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"):
            with pytest.raises(FetchError, match="not public"):
                Fetcher(QUICK).get(f"http://{host}:{pki.port}/")
        assert pki.requests == []
        assert Fetcher(QUICK, frozenset({f"127.0.0.1:{pki.port}"})).get(self.url(pki))
        with pytest.raises(FetchError, match="not public"):
            Fetcher(QUICK, frozenset({"127.0.0.1:1"})).get(self.url(pki))

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "http://", "http://a:b@127.0.0.1/", "gopher://x/", "",
                "http://127.0.0.1:99999/", "http://x/\r\nHost: y", "http://" + "a" * 3000]
    )  # fmt: skip
    def test_what_is_no_address_of_ours_is_refused(self, url: str) -> None:
        with pytest.raises(FetchError):
            Fetcher(QUICK, LOOPBACK).get(url)

    def test_redirects_are_counted_and_checked(self, pki: LivePki) -> None:
        with pki.fails("", "redirect"):
            with pytest.raises(FetchError, match="redirects more than 2 times"):
                Fetcher(QUICK, LOOPBACK).get(self.url(pki))
            assert len(pki.requests) == 3
            with pytest.raises(FetchError, match="HTTP status 302"):
                Fetcher(QUICK, LOOPBACK).post(self.url(pki), b"x", {})

    def test_an_answer_without_end_is_cut(self, pki: LivePki) -> None:
        with pki.fails("", "endless"), pytest.raises(FetchError, match="more than 1048576 bytes"):
            Fetcher(QUICK, LOOPBACK).get(self.url(pki))

    def test_an_answer_that_dawdles_is_cut_in_time(self, pki: LivePki) -> None:
        pki.slow_seconds = 3
        quick = FetchLimits(seconds=0.3)
        with pki.fails("", "slow"), pytest.raises(FetchError, match=r"within 0\.3 s"):
            Fetcher(quick, LOOPBACK).get(self.url(pki))

    def test_an_unreachable_port_is_told(self) -> None:
        with pytest.raises(FetchError, match=r"127\.0\.0\.1:1 cannot be reached"):
            Fetcher(QUICK, LOOPBACK).get("http://127.0.0.1:1/")


@pytest.mark.parametrize("level", ["B-T", "B-LT", "B-LTA"])
def test_warm_signatures_ask_only_for_their_own_time_stamps(
    pki: LivePki, tmp_path: Path, level: Level
) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    makes, now = longterm(pki), pki.now()
    sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", pki.identity("person", "person"), now=now)
    signer = pki.identity("seal", "organisation")

    def once() -> None:
        seal(tmp_path / "b.pdf", tmp_path / "c.pdf", signer, now=now, level=level, longterm=makes)

    once()
    pki.requests.clear()
    once()
    assert pki.asked("ocsp") == pki.asked("crls") == 0
    assert pki.asked("/tsa/") == (2 if level == "B-LTA" else 1)


def test_evidence_is_gathered_anew_after_its_time(pki: LivePki, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    makes, now = longterm(pki), pki.now()
    signer = pki.identity("person", "person")
    for minutes, asked in ((0, 2), (4, 0), (6, 2)):
        later = now + timedelta(minutes=minutes)
        pki.now = lambda later=later: later  # type: ignore[misc]
        pki.requests.clear()
        sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=later, level="B-LT",
                    longterm=makes)  # fmt: skip
        assert pki.asked("ocsp") == asked, minutes
