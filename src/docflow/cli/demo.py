"""`docflow demo`: both procedures, played through the public API by the people of the sample office.

Everything is real: a service over HTTP, files, numbers, signatures, deliveries, the history log. What
comes out lies in the data folder's `demo/`, for tools that no one here wrote.
"""

import json
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from docflow.cli.credentials import read_credentials
from docflow.cli.demo_confidential import play_confidential
from docflow.cli.demo_stage import Player, log_in, running_service, tell
from docflow.cli.instance import CREDENTIALS, instance_settings, listening, prepare
from docflow.cli.output import CONSOLE, fail
from docflow.cli.samples import write_decision, write_scan
from docflow.settings import Settings
from docflow.signing.font import Fonts, ensure_fonts

_CAST = {
    "hanh.nt": "clerk",
    "khoa.ld": "specialist",
    "dung.tq": "head",
    "son.nh": "leader",
    "tam.ht": "auditor",
    "duc.ph": "admin",
}
_SYSTEM = "cong-dich-vu-cong"
_RECIPIENT = "STC"
_UNCLEARED = "linh.pn"  # a clerk of the whole office, without a clearance
_LOG_SECONDS = 30.0


def play(data_dir: Path | None, port: int) -> None:
    """Prepare the instance, start the service, play, and tell how to go on."""
    started = time.perf_counter()
    settings = instance_settings(data_dir)
    if settings.production:
        fail("The demo does not play with DOCFLOW_ENVIRONMENT=production.")
    if port:
        listening("127.0.0.1", port).close()  # taken: said before anything is prepared
    folder = settings.data_dir / "demo"
    folder.mkdir(exist_ok=True)
    CONSOLE.rule("[bold]docflow demo[/]")
    CONSOLE.print(f"Preparing the instance in {settings.data_dir} …")
    prepare(settings)
    passwords = read_credentials(settings.data_dir / CREDENTIALS)
    if missing := [login for login in _CAST if login not in passwords]:
        fail(f"No password is known for {', '.join(missing)}; play in an empty --data-dir.")
    with running_service(settings, port or _free_port()) as address:
        CONSOLE.print(f"The service answers on {address}; its log is {folder / 'service.log'}.\n")
        people = {
            login: log_in(address, login, passwords[login], role) for login, role in _CAST.items()
        }
        fonts = ensure_fonts(settings.data_dir / "cache")
        incoming = _incoming(people, folder, fonts)
        outgoing = _outgoing(people, folder, fonts)
        recipient = _recipient(address, passwords)
        _delivered(people, recipient, outgoing, folder)
        uncleared = log_in(address, _UNCLEARED, passwords[_UNCLEARED], "clerk")
        play_confidential(people, uncleared, recipient, _RECIPIENT, settings.data_dir, fonts)
        _proven(people, outgoing, folder)
    _summary(settings, folder, incoming, outgoing, passwords, time.perf_counter() - started)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _incoming(people: dict[str, Player], folder: Path, fonts: Fonts) -> dict[str, Any]:
    CONSOLE.print("[bold underline]An incoming document: posted, registered, routed, closed[/]")
    portal = _portal(people["duc.ph"])
    symbol = f"{datetime.now(UTC):%H%M%S%f}/STC-QLNS"
    path = folder / "incoming.pdf"
    write_scan(path, fonts, symbol=symbol)
    started = time.perf_counter()
    metadata = {
        "direction": "incoming",
        "type": "CV",
        "subject": "Về việc hướng dẫn lập dự toán ngân sách năm 2027",
        "urgency": "urgent",
        "issuer": "Sở Tài chính",
        "issuer_symbol": symbol,
        "issuer_date": f"{datetime.now(UTC):%Y-%m-%d}",
        "fields": {"channel": "network", "pages": 1},
    }
    with path.open("rb") as file:
        posted = portal.call(
            "POST",
            "/v1/documents",
            files={
                "metadata": (None, json.dumps(metadata), "application/json"),
                "main": ("cong-van-den.pdf", file, "application/pdf"),
            },
        ).json()
    tell(portal.name, "post", f"→ {posted['state']} ({posted['files'][0]['size']} bytes)", started)
    people["hanh.nt"].fire(posted, "register")
    people["son.nh"].fire(posted, "route", unit="VP-TH", instruction="Tham mưu trả lời.")
    people["dung.tq"].fire(posted, "assign", assignee="khoa.ld")
    people["khoa.ld"].fire(posted, "start")
    return people["khoa.ld"].fire(posted, "close", result="Đã trả lời bằng văn bản của Văn phòng.")


def _portal(administrator: Player) -> Player:
    """Give the integrating system an API key of its own, for a day."""
    started = time.perf_counter()
    systems = administrator.get("/v1/people", kind="system")["items"]
    owner = next(item for item in systems if item["login"] == _SYSTEM)
    key = administrator.call(
        "POST",
        "/v1/api-keys",
        json={
            "name": "demo",
            "person_id": owner["id"],
            "scopes": ["documents:create", "documents:read"],
            "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        },
    ).json()
    tell(administrator.name, "give a key", "API key for the portal, one day", started)
    return Player(administrator.address, f"{_SYSTEM}", key["token"])


def _outgoing(people: dict[str, Player], folder: Path, fonts: Fonts) -> dict[str, Any]:
    CONSOLE.print(
        "\n[bold underline]An outgoing document: drafted, approved, numbered, signed, sealed[/]"
    )
    author = people["khoa.ld"]
    path = folder / "draft.pdf"
    write_decision(path, fonts)
    started = time.perf_counter()
    draft = author.call(
        "POST",
        "/v1/documents",
        json={
            "direction": "outgoing",
            "type": "QĐ",
            "subject": "Ban hành Quy chế tiếp nhận, xử lý văn bản điện tử",
            "recipients": [_RECIPIENT, "SNV"],
        },
    ).json()
    draft = author.call(
        "PUT",
        f"/v1/documents/{draft['id']}/files/main",
        content=path.read_bytes(),
        headers={
            "If-Match": f'"{draft["version"]}"',
            "Content-Type": "application/pdf",
            "Content-Disposition": 'attachment; filename="quyet-dinh.pdf"',
        },
    ).json()
    tell(author.name, "draft", f"→ {draft['state']}", started)
    author.fire(draft, "submit")
    people["dung.tq"].fire(draft, "approve")
    people["son.nh"].fire(draft, "sign")
    return people["hanh.nt"].fire(draft, "release")


def _recipient(address: str, passwords: dict[str, str]) -> Player:
    login = next((name for name in passwords if name.lower() == _RECIPIENT.lower()), None)
    if login is None:
        fail(f"No account was made for the recipient {_RECIPIENT}; play in an empty --data-dir.")
    return log_in(address, login, passwords[login], "recipient")


def _delivered(
    people: dict[str, Player], recipient: Player, document: dict[str, Any], folder: Path
) -> None:
    CONSOLE.print("\n[bold underline]Its recipient: lists, downloads, verifies, acknowledges[/]")
    started = time.perf_counter()
    inbox = recipient.get("/v1/inbox", acknowledged=False)["items"]
    delivery = next(item for item in inbox if item["symbol"] == document["symbol"])
    tell(recipient.name, "list inbox", f"{len(inbox)} new: {delivery['symbol']}", started)
    started = time.perf_counter()
    copy = recipient.call("GET", f"/v1/inbox/{delivery['id']}/content").content
    released = folder / "released.pdf"
    released.write_bytes(copy)
    tell(recipient.name, "download", f"{len(copy)} bytes → {released.name}", started)
    started = time.perf_counter()
    verified = recipient.call(
        "POST", "/v1/verifications", content=copy, headers={"Content-Type": "application/pdf"}
    ).json()
    (folder / "verification.json").write_text(
        json.dumps(verified, ensure_ascii=False, indent=2) + "\n", "utf-8"
    )
    signers = ", ".join(item["signer"] for item in verified["report"]["signatures"])
    tell(recipient.name, "verify", f"{verified['indication']}: {signers}", started)
    started = time.perf_counter()
    receipt = recipient.call(
        "POST",
        f"/v1/inbox/{delivery['id']}/receipt",
        json={"sha256": delivery["sha256"], "note": "Đã nhận đủ."},
    ).json()
    tell(recipient.name, "acknowledge", f"at {receipt['acknowledged_at']}", started)
    people["hanh.nt"].fire(document, "archive")


def _proven(people: dict[str, Player], document: dict[str, Any], folder: Path) -> None:
    CONSOLE.print("\n[bold underline]The auditor: reads the history and takes a proof away[/]")
    auditor = people["tam.ht"]
    started = time.perf_counter()
    entries = auditor.get(f"/v1/documents/{document['id']}/history")["items"]
    tell(auditor.name, "read history", f"{len(entries)} entries", started)
    released = next(
        entry
        for entry in entries
        if entry["action"] == "document.fired" and entry["data"]["trigger"] == "release"
    )
    started = time.perf_counter()
    proof = _proof(auditor, released["id"])
    (folder / "release.tlog-proof").write_text(proof, "utf-8")
    (folder / "log.vkey").write_text(
        auditor.call("GET", "/v1/log/key").text.strip() + "\n", "utf-8"
    )
    tell(auditor.name, "take proof", "release.tlog-proof, log.vkey", started)


def _proof(auditor: Player, entry_id: str) -> str:
    """Wait until the sequencer has given the entry its place, then take its proof."""
    deadline = time.monotonic() + _LOG_SECONDS
    while True:
        answer = auditor.client.get(f"/v1/history/{entry_id}/proof")
        if answer.is_success:
            return answer.text
        if answer.json().get("code") != "not-yet-sequenced" or time.monotonic() > deadline:
            fail(f"No proof: {answer.json().get('detail')}")
        time.sleep(0.2)


def _summary(
    settings: Settings,
    folder: Path,
    incoming: dict[str, Any],
    outgoing: dict[str, Any],
    passwords: dict[str, str],
    seconds: float,
) -> None:
    CONSOLE.rule("[bold]What came out[/]")
    CONSOLE.print(
        f"Incoming {incoming['symbol']} is {incoming['state']}; outgoing "
        f"[bold]{outgoing['symbol']}[/] was signed, sealed and delivered. {seconds:.0f} s in all."
    )
    shown = _relative(folder)
    CONSOLE.print(f"  {shown}/released.pdf          the recipient's copy")
    CONSOLE.print(f"  {shown}/verification.json     what the service says of it")
    CONSOLE.print(f"  {shown}/release.tlog-proof    proof that its release is history")
    CONSOLE.print(f"  {shown}/confidential.pdf.p7m  the confidential one, as it was delivered")
    CONSOLE.print(f"  {shown}/confidential.pdf      the same, opened with the recipient's key")
    CONSOLE.print("Check it with tools that no one here wrote:")
    if shutil.which("pdfsig") is None:
        CONSOLE.print("  [dim](pdfsig is in the Debian package poppler-utils)[/]")
    CONSOLE.print(f"  pdfsig -nocert {shown}/released.pdf")
    CONSOLE.print(f"  qpdf --check {shown}/released.pdf")
    CONSOLE.print(
        f"  .venv/bin/docflow verify {shown}/release.tlog-proof --key-file {shown}/log.vkey"
    )
    CONSOLE.print("Go on by hand: [bold]make run[/] serves the same data. First passwords:")
    for login, role in _CAST.items():
        CONSOLE.print(f"  {login:<10} {passwords[login]}   {role}", highlight=False)
    CONSOLE.print(f"All are in {_relative(settings.data_dir / CREDENTIALS)}.")


def _relative(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
