import json
import re
import shlex

import pytest

from tests.packaging.recipe import ROOT, Stage, instructions, stages


@pytest.fixture(scope="module")
def final() -> Stage:
    return stages()[-1]


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_bases_are_pinned_by_tag_and_name_no_host() -> None:
    for stage in stages():
        assert re.fullmatch(r"[a-z]+:[0-9]+\.[0-9]+[a-z0-9.-]*", stage.base), stage.base


def test_what_runs_is_not_root(final: Stage) -> None:
    (user,) = final.all("USER")
    number, _, group = user.partition(":")
    assert int(number) > 0  # a number, so that an orchestrator can see that it is not root
    assert int(group) > 0
    created = " ".join(final.all("RUN"))
    assert f"--uid {number}" in created


def test_nothing_is_done_as_the_service_user_before_it_serves(final: Stage) -> None:
    words = [item.word for item in final.instructions]
    assert set(words[words.index("USER") :]) <= {
        "USER",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }


def test_state_is_only_in_the_volume(final: Stage) -> None:
    (volume,) = final.all("VOLUME")
    environment = final.environment
    assert environment["DOCFLOW_DATA_DIR"] == volume
    assert environment["TMPDIR"] == volume
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert final.all("WORKDIR") == [volume]


def test_the_default_command_serves_to_the_outside_of_the_container(final: Stage) -> None:
    (entry,), (command,) = final.all("ENTRYPOINT"), final.all("CMD")
    assert json.loads(entry) + json.loads(command) == ["docflow", "serve"]
    assert final.environment["DOCFLOW_HOST"] == "0.0.0.0"  # noqa: S104 - that is what is asked for
    assert final.all("EXPOSE") == [final.environment["DOCFLOW_PORT"]]


def test_there_is_a_health_check_that_needs_no_shell(final: Stage) -> None:
    (check,) = final.all("HEALTHCHECK")
    command = json.loads(check[check.index("CMD ") + 4 :])
    assert command[:2] == ["python", "-c"]
    assert "/healthz" in command[2]


def test_every_install_checks_hashes_or_installs_our_own_wheel() -> None:
    installs = [
        step
        for item in instructions()
        if item.word == "RUN"
        for step in item.rest.split("&&")
        if "pip install" in step
    ]
    assert len(installs) >= 3
    for step in installs:
        words = shlex.split(step)
        assert "--require-hashes" in words or {"--no-deps", "--no-index"} <= set(words), step


def test_what_is_copied_exists_and_is_let_through_by_the_ignore_file() -> None:
    copied = {
        source.rstrip("/")
        for item in stages()[0].instructions
        if item.word == "COPY"
        for source in item.rest.split()[:-1]
    }
    for source in copied:
        assert (ROOT / source).exists(), source
    assert ignored()[0] == "*"
    assert {line[1:] for line in ignored() if line.startswith("!")} == copied
