"""Settings with a wrong value stop the start with a sentence that names the setting."""

import pytest
from typer.testing import CliRunner

from docflow.cli.main import app
from docflow.kernel.errors import ConfigurationError
from docflow.settings import Settings

HOSTS = "DOCFLOW_VERIFICATION_HOSTS"
PROVIDERS = "DOCFLOW_KEY_PROVIDERS_BEFORE"


@pytest.mark.parametrize("name", [HOSTS, PROVIDERS])
@pytest.mark.parametrize("value", ["ocsp.ca.example", "[", "{}", "1", "[1]", '"file"', "null"])
def test_what_is_no_list_of_texts_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name}.*JSON list of texts"):
        Settings.load()


@pytest.mark.parametrize(
    "host",
    [
        "http://ocsp.ca.example/", "ocsp.ca.example/", "ocsp.ca.example:", "ocsp.ca.example:http",
        "ocsp.ca.example:0", "user@ocsp.ca.example", "*.ca.example", "ocsp ca", "", "chứng.thực",
        "ocsp.ca.example:80000",
    ],
)  # fmt: skip
def test_a_host_that_nothing_could_match_is_refused(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv(HOSTS, f'["crl.ca.example", "{host}"]')
    with pytest.raises(ConfigurationError, match=f"{HOSTS}.*`host` or `host:port`"):
        Settings.load()


def test_hosts_are_read_without_regard_to_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS, '["OCSP.ca.example", "10.0.0.1:8080", "::1", "localhost"]')
    hosts = Settings.load().verification_hosts
    assert hosts == ("ocsp.ca.example", "10.0.0.1:8080", "::1", "localhost")


def test_no_hosts_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "[]"):
        monkeypatch.setenv(HOSTS, value)
        assert Settings.load().verification_hosts == ()


def test_a_provider_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROVIDERS, '["file", "hsm"]')
    with pytest.raises(ConfigurationError, match=PROVIDERS):
        Settings.load()


@pytest.mark.parametrize("command", [["serve"], ["verify", "pyproject.toml"]])
def test_a_command_says_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv(HOSTS, "ocsp.ca.example")
    result = CliRunner().invoke(app, command)
    told = result.output + str(result.exception)
    assert HOSTS in told
    assert "JSON list of texts" in told
    assert isinstance(result.exception, ConfigurationError | SystemExit)
