"""Three leaders sign a decision over HTTP in whichever order they come, and each is seen in their place."""

import shutil
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pikepdf
import pytest

from docflow.kernel.resources import bundled
from tests.api_support import answered, if_match
from tests.e2e.served import Service, served
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, copy_instance
from tests.persons_support import ANY_ORDER, DATA, SECOND_LEADER
from tests.unit.signing.forge import run

LEFTS = {LEADER: 135, SECOND_LEADER: 61, HEAD: 5}
MM = 72 / 25.4


@pytest.fixture(scope="module")
def office(served_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("any-order")
    copy_instance(served_template, folder / "var")
    shutil.copytree(bundled("workflows"), folder / "workflows")
    shutil.copy(DATA / "outgoing-any-order.yaml", folder / "workflows")
    url = f"sqlite:///{folder / 'var' / 'docflow.sqlite3'}"
    with served(folder / "var", url, workflows_dir=str(folder / "workflows")) as service:
        yield service


@pytest.mark.parametrize("order", list(permutations(ANY_ORDER)))
def test_three_leaders_sign_in_any_order(
    office: Service, tmp_path: Path, order: tuple[tuple[str, str], ...]
) -> None:
    doors = {login: office.login(login) for login in (*LEFTS, CLERK, SPECIALIST)}
    drafted = office.draft(workflow="outgoing-any-order")
    doors[SPECIALIST].carry(drafted["id"], "submit")
    document = doors[HEAD].carry(drafted["id"], "approve")
    for count, (login, trigger) in enumerate(order, 1):
        document = doors[login].carry(document["id"], trigger)
        assert document["state"] == ("signed" if count == 3 else "approved")
        if count == 3:
            continue
        listed = {one["trigger"]: one for one in document["available"]}
        assert not listed[trigger]["allowed"]
        assert listed[trigger]["refusal"]["code"] == "already-signed"
        left = ", ".join(name for _, name in ANY_ORDER if name not in [t for _, t in order[:count]])
        assert listed[trigger]["refusal"]["satisfied_by"].endswith(left)
        early = doors[CLERK].post(
            f"/v1/documents/{document['id']}/transitions", {"trigger": "release"},
            headers=if_match(document["version"]),
        )  # fmt: skip
        assert answered(early, 409)["code"] == "not-from-this-state"
    document = doors[CLERK].carry(document["id"], "release")
    assert document["state"] == "released"
    final = next(file for file in document["files"] if file["form"] == "released")
    path = tmp_path / "released.pdf"
    address = f"/v1/documents/{document['id']}/files/{final['id']}/content"
    path.write_bytes(doors[CLERK].request("GET", address).content)
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 4
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", path)
    with pikepdf.open(path) as pdf:
        fields = [(str(f.T), float(f.Rect[0])) for f in pdf.Root.AcroForm.Fields]
    first, *others = [login for login, _ in order]
    listed_after = [login for login in LEFTS if login in others]
    expected = [LEFTS[login] * MM for login in (first, *listed_after)]
    assert [left for _, left in fields[:3]] == pytest.approx(expected, abs=0.01)
