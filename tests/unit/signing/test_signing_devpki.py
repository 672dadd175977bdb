import multiprocessing
import stat
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.signing.devpki import DISCLAIMER, Credential, DevPki, ensure_devpki
from docflow.signing.identity import SignerIdentity
from docflow.signing.trust import TrustRoots
from tests.unit.signing.forge import NOW

ORGANISATION = "Ủy ban nhân dân thành phố trực thuộc trung ương có tên rất dài và dài hơn nữa"
PEOPLE = {"son.nh": "Nguyễn Hữu Sơn", "an": "An"}
pytestmark = pytest.mark.filterwarnings("ignore::docflow.kernel.errors.DevelopmentModeWarning")


def certificate(credential: Credential) -> x509.Certificate:
    made = pkcs12.load_pkcs12(credential.pkcs12.read_bytes(), credential.passphrase()).cert
    assert made is not None
    return made.certificate


def identities(pki: DevPki) -> list[SignerIdentity]:
    roots = TrustRoots.from_files([pki.root])
    made = [
        SignerIdentity.from_pkcs12(c.pkcs12, c.passphrase(), roots=roots, now=NOW, expect="person")
        for c in pki.people.values()
    ]
    seal = pki.organisation
    return [
        *made,
        SignerIdentity.from_pkcs12(
            seal.pkcs12, seal.passphrase(), roots=roots, now=NOW, expect="organisation"
        ),
    ]


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-3072"])
def test_what_it_makes_is_accepted_as_identities(tmp_path: Path, algorithm: str) -> None:
    pki = ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW, algorithm=algorithm)  # type: ignore[arg-type]
    *people, seal = identities(pki)
    assert [one.name for one in people] == list(PEOPLE.values())
    assert ORGANISATION.startswith(seal.name)
    assert len(seal.name) > 40


def test_every_subject_says_what_it_is(tmp_path: Path) -> None:
    pki = ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)
    root = x509.load_pem_x509_certificate(pki.root.read_bytes())
    made = [root, *(certificate(c) for c in (pki.organisation, *pki.people.values()))]
    for one in made:
        assert DISCLAIMER in one.subject.rfc4514_string()


def test_only_their_owner_reads_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    ensure_devpki(folder, ORGANISATION, PEOPLE, now=NOW)
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_keys_are_encrypted_and_the_roots_key_is_nowhere(tmp_path: Path) -> None:
    ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)
    keys = sorted(path.name for path in tmp_path.rglob("*.p12"))
    assert keys == ["an.p12", "authority.p12", "seal.p12", "son.nh.p12"]
    for path in tmp_path.rglob("*.p12"):
        with pytest.raises(ValueError, match="password"):
            pkcs12.load_pkcs12(path.read_bytes(), None)


def test_calling_it_again_changes_nothing(tmp_path: Path) -> None:
    ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.p*")}
    ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW + timedelta(days=30))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.p*")} == before


def test_people_are_added_later(tmp_path: Path) -> None:
    first = ensure_devpki(tmp_path, ORGANISATION, {"an": "An"}, now=NOW)
    an = first.people["an"].pkcs12.read_bytes()
    second = ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)
    assert second.people["an"].pkcs12.read_bytes() == an
    assert len(identities(second)) == 3


def test_what_is_about_to_expire_is_made_anew(tmp_path: Path) -> None:
    first = ensure_devpki(tmp_path, ORGANISATION, {"an": "An"}, now=NOW)
    old = certificate(first.people["an"])
    later = old.not_valid_after_utc - timedelta(days=1)
    second = ensure_devpki(tmp_path, ORGANISATION, {"an": "An"}, now=later)
    assert certificate(second.people["an"]).not_valid_after_utc > later
    assert second.root.read_bytes() == first.root.read_bytes()


def test_a_lost_root_makes_everything_anew(tmp_path: Path) -> None:
    first = ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)
    first.root.unlink()
    assert len(identities(ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW))) == 3


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    pki = ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)
    pki.organisation.pkcs12.write_bytes(b"torn")
    with pytest.raises(ConfigurationError, match=r"seal\.p12"):
        ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW)


@pytest.mark.parametrize("login", ["../x", "", "A", "a/b", ".hidden"])
def test_a_login_cannot_name_another_folder(tmp_path: Path, login: str) -> None:
    with pytest.raises(ConfigurationError):
        ensure_devpki(tmp_path, ORGANISATION, {login: "X"}, now=NOW)
    assert not list(tmp_path.rglob("*.p12"))


def test_it_warns_once_for_a_folder(tmp_path: Path) -> None:
    with pytest.warns(DevelopmentModeWarning, match="NOT A REAL SIGNATURE"):
        ensure_devpki(tmp_path, ORGANISATION, {}, now=NOW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensure_devpki(tmp_path, ORGANISATION, {}, now=NOW)


def test_where_the_warning_is_refused_nothing_is_made(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DevelopmentModeWarning):
            ensure_devpki(tmp_path / "pki", ORGANISATION, {}, now=NOW)
    assert not (tmp_path / "pki").exists()


def _race(folder: str) -> bytes:
    warnings.simplefilter("ignore")
    return ensure_devpki(Path(folder), ORGANISATION, PEOPLE, now=NOW).root.read_bytes()


def test_two_processes_may_make_it_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        roots = pool.map(_race, [str(tmp_path)] * 3)
    assert len(set(roots)) == 1
    assert len(identities(ensure_devpki(tmp_path, ORGANISATION, PEOPLE, now=NOW))) == 3
