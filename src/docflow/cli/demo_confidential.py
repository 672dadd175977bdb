"""The confidential part of `docflow demo`: sealed, refused, approved, signed, encrypted, opened, verified.

What the recipient opens, it opens without this service: with `docflow open`, its own private key, and
the root of the organisation that it holds.
"""

import json
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from docflow.cli.demo_stage import Player, tell
from docflow.cli.output import CONSOLE, fail
from docflow.cli.samples import write_decision
from docflow.signing.font import Fonts

_SUBJECT = "Phương án bảo vệ kỳ họp"


def play_confidential(
    people: dict[str, Player], uncleared: Player, recipient: Player, code: str, data_dir: Path,
    fonts: Fonts,
) -> dict[str, Any]:  # fmt: skip
    """Play it and return the document; what comes out lies in the data folder's `demo/`.

    Args:
        people: those who are cleared, by login.
        uncleared: somebody whose office lets them know of the unit's documents, without a clearance.
        recipient: who it is sent to.
        code: the recipient's code.
        data_dir: the instance's folder.
        fonts: faces for the page.
    """
    CONSOLE.print(
        "\n[bold underline]A confidential one: sealed, refused, released encrypted, opened[/]"
    )
    folder = data_dir / "demo"
    draft = _posted(people["khoa.ld"], code, folder, fonts)
    _refused(uncleared, draft)
    people["khoa.ld"].fire(draft, "submit")
    people["dung.tq"].fire(draft, "approve")
    people["son.nh"].fire(draft, "sign")
    released = people["hanh.nt"].fire(draft, "release")
    envelope = _downloaded(recipient, released, folder)
    _opened(recipient, envelope, code, data_dir)
    _read_by(people["son.nh"], released)
    return released


def _posted(author: Player, code: str, folder: Path, fonts: Fonts) -> dict[str, Any]:
    path = folder / "confidential-draft.pdf"
    write_decision(path, fonts)
    metadata = {
        "direction": "outgoing",
        "type": "KH",
        "subject": _SUBJECT,
        "classification": "confidential",
        "recipients": [code],
    }
    started = time.perf_counter()
    with path.open("rb") as file:
        posted: dict[str, Any] = author.call(
            "POST",
            "/v1/documents",
            files={
                "metadata": (None, json.dumps(metadata), "application/json"),
                "main": ("phuong-an.pdf", file, "application/pdf"),
            },
        ).json()
    tell(author.name, "draft", f"→ {posted['state']}, sealed on its way to the disk", started)
    return posted


def _refused(uncleared: Player, document: dict[str, Any]) -> None:
    started = time.perf_counter()
    answer = uncleared.client.get(f"/v1/documents/{document['id']}")
    if answer.status_code != HTTPStatus.NOT_FOUND:
        fail(f"{uncleared.name} has no clearance and was answered {answer.status_code}.")
    tell(uncleared.name, "read", "404: not cleared, so there is no such document", started)


def _downloaded(recipient: Player, document: dict[str, Any], folder: Path) -> Path:
    inbox = recipient.get("/v1/inbox", acknowledged=False)["items"]
    delivery = next(item for item in inbox if item["symbol"] == document["symbol"])
    started = time.perf_counter()
    content = recipient.call("GET", f"/v1/inbox/{delivery['id']}/content").content
    envelope = folder / "confidential.pdf.p7m"
    envelope.write_bytes(content)
    tell(recipient.name, "download", f"{len(content)} bytes, encrypted → {envelope.name}", started)
    return envelope


def _opened(recipient: Player, envelope: Path, code: str, data_dir: Path) -> None:
    """Open the envelope as its recipient does: another program, a private key, no service."""
    keys, opened = data_dir / "pki" / "recipients" / code.lower(), envelope.with_suffix("")
    started = time.perf_counter()
    command = [
        *(sys.executable, "-m", "docflow", "open", str(envelope), "--out", str(opened)),
        *("--key", f"{keys}.p12", "--passphrase-file", f"{keys}.pass"),
        *("--verify", str(data_dir / "pki" / "root.pem"), "--force"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        fail(f"The recipient cannot open it: {done.stderr or done.stdout}")
    verdicts = [line for line in done.stdout.splitlines() if "PASSED" in line]
    tell(
        recipient.name, "open", f"→ {opened.name}: {len(verdicts)} signatures TOTAL-PASSED", started
    )


def _read_by(leader: Player, document: dict[str, Any]) -> None:
    started = time.perf_counter()
    entries = leader.get(f"/v1/documents/{document['id']}/history", limit=200)["items"]
    reads = sum(entry["action"] == "document.read" for entry in entries)
    tell(leader.name, "read history", f"{reads} readings of it are on record", started)
