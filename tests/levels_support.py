"""A whole instance whose signers, authorities and responders are those of the living PKI."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from docflow.kernel.clock import ManualClock
from docflow.kernel.resources import bundled
from docflow.signing.devpictures import development_pictures
from docflow.signing.longterm import LongTerm
from docflow.signing.outside.fetching import FetchLimits
from docflow.signing.outside.services import SigningServices
from docflow.signing.outside.timestamps import TimestampAuthority
from tests.card_support import Card
from tests.office_support import LEADER, Instance, copy_instance
from tests.pki_support import PASSPHRASE, LivePki

PLACES = "{number: standard, date: standard, qr: standard}"
LOOPBACK = frozenset({"127.0.0.1"})
QUICK = FetchLimits(seconds=1.0, max_bytes=1 << 20, redirects=2)


def longterm(pki: LivePki, *tsas: str, **services: Any) -> LongTerm:
    """Return what makes levels with the PKI's authorities, in that order."""
    authorities = tuple(TimestampAuthority(one, pki.tsa_url(one)) for one in tsas or ("tsa",))
    options: dict[str, Any] = {
        "authorities": authorities,
        "private_hosts": LOOPBACK,
        "timestamp_limits": QUICK,
        "revocation_limits": QUICK,
    } | services
    return LongTerm(SigningServices(**options), pki.roots)


def card_of(pki: LivePki, label: str = "person") -> Card:
    """Return a card with one of the PKI's keys, its certificate and the authority above it."""
    key = load_pem_private_key((pki.folder / f"{label}.pem").read_bytes(), None)
    pem = "".join(pki.pem(one).read_text() for one in (label, "authority"))
    return Card(key, pem)  # type: ignore[arg-type]  # the PKI makes no other


def write_services(folder: Path, pki: LivePki, *tsas: str) -> Path:
    """Write a signing services file."""
    path = folder / "services.yaml"
    authorities = [{"name": one, "url": pki.tsa_url(one)} for one in tsas or ("tsa",)]
    path.write_text(
        yaml.safe_dump(
            {
                "timestamps": {"seconds": 1, "authorities": authorities},
                "revocation": {"seconds": 1, "private_hosts": ["127.0.0.1"]},
            }
        )
    )
    return path


def write_signers(
    folder: Path, pki: LivePki, seal: str = "seal", person: str = "person", **others: str
) -> Path:
    """Write a signers file: the seal, the leader, and others by their log-in."""
    (folder / "passphrase").write_bytes(PASSPHRASE)

    def named(label: str) -> dict[str, str]:
        return {"pkcs12": str(pki.pkcs12(label)), "passphrase_file": str(folder / "passphrase")}

    path = folder / "signers.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "roots": [str(pki.pem("root"))],
                "seal": named(seal),
                "people": {
                    login: named(label) for login, label in {LEADER: person, **others}.items()
                },
            }
        )
    )
    return path


def show_pictures(signers: Path) -> None:
    """Let signatures show pictures: the development ones, written beside the signers file."""
    pictures = development_pictures(signers.parent)
    pictures.person(LEADER)  # draws it
    data = yaml.safe_load(signers.read_text())
    data["appearances"] = {
        "seal": {"image": "seal.png"},
        "people": {LEADER: {"image": f"people/{LEADER}.png"}},
    }
    signers.write_text(yaml.safe_dump(data))


def write_workflows(folder: Path, person: str, seal: str, *, seen: bool = False) -> Path:
    """Copy the workflows that ship, with other signature levels; "" leaves the level out."""
    target = folder / "workflows"
    shutil.copytree(bundled("workflows"), target)
    path = target / "outgoing.yaml"
    text = path.read_text("utf-8")
    text = text.replace("version: 2\n", "version: 3\n", 1)
    for plain, named in (
        ("      as: person\n", f"      as: person\n      {person}\n"),
        ("{as: organisation}", f"{{as: organisation{seal}}}"),
    ):
        assert plain in text
        text = text.replace(plain, named)
    if seen:
        assert PLACES in text
        text = text.replace(PLACES, PLACES.replace("}", ", signature: standard}"))
    path.write_text(text, "utf-8")
    return target


Offices = Callable[..., Instance]


@contextmanager
def offices_in(folder: Path, prepared: Path, clock: ManualClock) -> Iterator[Offices]:
    """Make instances, each in a folder of its own, by `office_at` with the PKI and options given."""
    made: list[Instance] = []

    def make(pki: LivePki, **options: Any) -> Instance:
        own = folder / str(len(made))
        own.mkdir()
        made.append(office_at(own, prepared, clock, pki, **options))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.close()


def office_at(
    folder: Path,
    prepared: Path,
    clock: ManualClock,
    pki: LivePki,
    *,
    person: str = "level: B-T",
    seal: str = ", level: B-LTA",
    tsas: tuple[str, ...] = ("tsa",),
    signers: dict[str, str] | None = None,
    seen: bool = False,
    **settings: Any,
) -> Instance:
    """Return an instance that signs at these levels, `seen` on the page; the PKI tells its time."""
    pki.now = clock.now
    copy_instance(prepared, folder / "var")
    signers_file = write_signers(folder, pki, **(signers or {}))
    if seen:
        show_pictures(signers_file)
    return Instance(
        folder / "var",
        f"sqlite:///{folder / 'var' / 'docflow.sqlite3'}",
        clock,
        signers_file=signers_file,
        signing_services_file=write_services(folder, pki, *tsas),
        workflows_dir=write_workflows(folder, person, seal, seen=seen),
        **settings,
    )
