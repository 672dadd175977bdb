"""What production refuses to start with, each with a sentence that says what would be right."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from docflow import bootstrap
from docflow.cli.instance import listening
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError
from docflow.settings import Settings
from docflow.signing.devpki import ensure_devpki
from docflow.signing.signersfile import signers_from_file
from tests.levels_support import write_signers
from tests.office_support import Instance, copy_instance, development
from tests.pki_support import LivePki
from tests.unit.signing.forge import Forge, Made
from tests.unit.signing.test_verification_list_signatures import signed
from tests.unit.signing.test_verification_trust import service, trusted_list


@pytest.fixture
def office_file(instance: Instance) -> Path:
    from docflow.people.seed import BUILTIN

    path = instance.folder / "office.yaml"
    shutil.copy(BUILTIN, path)
    return path


@pytest.fixture
def signers_file(instance: Instance, clock: ManualClock) -> Path:
    """A signers file over PKCS#12 files that the operator has (here: made for the test)."""
    folder = instance.folder / "keys"
    with development():
        pki = ensure_devpki(folder, "Văn phòng", {"son.nh": "Nguyễn Hữu Sơn"}, now=clock.now())
    path = folder / "signers.yaml"

    def files(credential: object) -> str:
        return (
            f"{{pkcs12: {credential.pkcs12.relative_to(folder)}, "  # type: ignore[attr-defined]
            f"passphrase_file: {credential.passphrase_file.relative_to(folder)}}}"  # type: ignore[attr-defined]
        )

    path.write_text(
        f"roots: [{pki.root.name}]\nseal: {files(pki.organisation)}\n"
        f"people:\n  son.nh: {files(pki.people['son.nh'])}\n",
        "utf-8",
    )
    return path


@pytest.fixture
def own_signers_file(instance: Instance, pki: LivePki) -> Path:
    """A signers file whose certificates are those of an authority, not of the throw-away PKI."""
    return write_signers(instance.folder, pki)


def production(instance: Instance, **values: object) -> Settings:
    values = {"public_url": "https://docs.office.example", **values}
    return Settings.load(
        data_dir=instance.folder,
        database_url=instance.database.url,
        environment="production",
        **values,
    )


def test_production_does_not_run_on_stand_ins(
    instance: Instance, office_file: Path, own_signers_file: Path, clock: ManualClock
) -> None:
    signers_file = own_signers_file
    with pytest.raises(ConfigurationError, match="DOCFLOW_OFFICE_FILE"):
        bootstrap.build(production(instance), clock)
    with pytest.raises(ConfigurationError, match="DOCFLOW_SIGNERS_FILE"):
        bootstrap.build(production(instance, office_file=office_file), clock)
    with pytest.raises(ConfigurationError, match="DOCFLOW_KEY_PROVIDER"):
        bootstrap.build(
            production(instance, office_file=office_file, signers_file=signers_file), clock
        )
    with pytest.raises(ConfigurationError, match="files that docflow writes") as refused:
        bootstrap.build(
            production(
                instance, office_file=office_file, signers_file=signers_file, key_provider="file"
            ),
            clock,
        )
    assert "DOCFLOW_KEY_FILES_ALLOWED" in str(refused.value.satisfied_by)
    mounted = instance.folder / "mounted"
    mounted.mkdir()
    with pytest.raises(ConfigurationError, match="log"):
        bootstrap.build(
            production(
                instance,
                office_file=office_file,
                signers_file=signers_file,
                key_provider="mounted",
                key_mounted_folder=mounted,
                log_key_file=instance.folder / "none.key",
            ),
            clock,
        )


def named(instance: Instance, office_file: Path, signers_file: Path, **more: object) -> Settings:
    """Settings of production with everything that it asks for."""
    mounted = instance.folder / "mounted"
    mounted.mkdir(exist_ok=True)
    return production(
        instance,
        office_file=office_file,
        signers_file=signers_file,
        key_provider="mounted",
        key_mounted_folder=mounted,
        log_key_file=instance.folder / "log.key",
        **more,
    )


def test_production_starts_with_what_the_operator_names(
    instance: Instance, office_file: Path, own_signers_file: Path, clock: ManualClock
) -> None:
    settings = named(instance, office_file, own_signers_file)
    services = bootstrap.build(settings, clock)
    assert services.desk.signers.person("son.nh", "Sơn", clock.now()).kind == "person"
    services.close()


def test_production_refuses_the_throw_away_pki_wherever_it_lies(
    instance: Instance, office_file: Path, signers_file: Path, clock: ManualClock
) -> None:
    with pytest.raises(ConfigurationError, match="does not sign with a throw-away PKI") as refused:
        bootstrap.build(named(instance, office_file, signers_file), clock)
    assert "DOCFLOW_SIGNERS_FILE" in refused.value.detail
    assert "DEVELOPMENT ONLY" in refused.value.detail


def test_production_trusts_no_root_of_the_throw_away_pki(
    instance: Instance,
    office_file: Path,
    signers_file: Path,
    own_signers_file: Path,
    clock: ManualClock,
) -> None:
    text = own_signers_file.read_text("utf-8")
    root = signers_file.parent / "root.pem"
    own_signers_file.write_text(f"{text}trust: [{root}]\n", "utf-8")
    with pytest.raises(ConfigurationError, match="nor trust one"):
        bootstrap.build(named(instance, office_file, own_signers_file), clock)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8460",
        "http://docs.office.example",
        "https://localhost",
        "https://127.0.0.2:8460",
        "https://[::1]/office",
        "https://0.0.0.0",
    ],
)
def test_production_prints_no_address_that_others_cannot_reach_safely(
    instance: Instance,
    office_file: Path,
    own_signers_file: Path,
    clock: ManualClock,
    address: str,
) -> None:
    settings = named(instance, office_file, own_signers_file, public_url=address)
    with pytest.raises(ConfigurationError, match="DOCFLOW_PUBLIC_URL") as refused:
        bootstrap.build(settings, clock)
    assert address in refused.value.detail


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seal.p12", "lost.p12", "lost.p12"),
        ("roots: [root.pem]", "roots: []", "roots"),
        ("roots: [root.pem]", "roots: [none.pem]", "none.pem"),
        ("people:", "peoples:", "people"),
        ("passphrase_file", "passphrase", "passphrase_file"),
        ("seal: {", "seal: [{", "cannot be read"),
    ],
)
def test_a_wrong_signers_file_stops_the_start(
    signers_file: Path, clock: ManualClock, old: str, new: str, told: str
) -> None:
    text = signers_file.read_text("utf-8")
    assert old in text
    signers_file.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(ConfigurationError, match=told):
        signers_from_file(signers_file, now=clock.now())


def test_a_trusted_list_that_no_operator_signed_stops_the_start_unless_vouched_for(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    folder, trust = tmp_path / "var", tmp_path / "trust"
    copy_instance(prepared, folder)
    trust.mkdir()
    by = Forge().root
    listed = trusted_list(service(Made(by.key, pki.certificate("root"))))
    (trust / "vn.xml").write_bytes(listed)
    operator = tmp_path / "operator.pem"
    operator.write_bytes(by.certificate.public_bytes(Encoding.PEM))
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    for more in ({}, {"trust_list_signers": operator}):
        with pytest.raises(ConfigurationError, match=r"vn\.xml is refused: it bears no signature"):
            Instance(folder, url, clock, trust_dir=trust, **more)
    Instance(folder, url, clock, trust_dir=trust, trust_lists_unsigned="accept").close()
    (trust / "vn.xml").write_bytes(signed(listed, by))
    Instance(folder, url, clock, trust_dir=trust, trust_list_signers=operator).close()


def test_a_database_that_is_not_migrated_stops_the_start(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="docflow migrate"), development():
        bootstrap.build(settings, clock)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("ENVIRONMENT", "prod"),
        ("THREADS", "none"),
        ("PUBLIC_URL", "office"),
        ("MAX_FILE_BYTES", "1"),
    ],
)
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"DOCFLOW_{name}", value)
    with pytest.raises(ConfigurationError, match=f"DOCFLOW_{name}"):
        Settings.load()


def test_a_taken_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            listening("127.0.0.1", port)
    assert ended.value.code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in capsys.readouterr().err.replace("\n", " ")
