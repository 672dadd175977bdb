"""The signing services file: which time-stamp authorities and which responders docflow may ask.

```yaml
timestamps:
  roots: [tsa-root.pem]          # beside the roots of the signers file
  seconds: 10                    # for one answer
  clock_tolerance_seconds: 300   # how far an authority's clock may be from ours
  authorities:                   # asked in this order, the next if one fails
    - {name: national, url: "https://tsa.example.vn/", basic: {user: snv, password_file: tsa.pw}}
    - {name: second, url: "http://tsa2.example.vn/", policies: [1.2.704.1]}
revocation:
  seconds: 10
  max_bytes: 10485760
  private_hosts: [ocsp.ca.internal, "127.0.0.1:8080"]   # those that may be inside our own network
refresh_seconds: 300             # how long evidence and contexts are used again
```

Rules: an unknown or misspelt name is an error; secrets are in files; a secret is never sent over
plain http to another machine.
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from docflow.kernel.errors import ConfigurationError
from docflow.signing.outside.fetching import FetchLimits
from docflow.signing.outside.timestamps import TimestampAuthority
from docflow.signing.trust import TrustRoots

_TSA_BYTES = 256 * 1024
_MAX_SECONDS = 120.0
_MAX_SECRET_CHARS = 8_000


@dataclass(frozen=True, slots=True)
class SigningServices:
    """What the file says; `ask_revocation` that there is one, so that responders may be asked."""

    authorities: tuple[TimestampAuthority, ...] = ()
    timestamp_roots: TrustRoots = field(default_factory=lambda: TrustRoots(()))
    timestamp_limits: FetchLimits = field(
        default_factory=lambda: FetchLimits(max_bytes=_TSA_BYTES, redirects=0)
    )
    clock_tolerance: timedelta = timedelta(seconds=300)
    revocation_limits: FetchLimits = field(default_factory=FetchLimits)
    private_hosts: frozenset[str] = frozenset()
    refresh: timedelta = timedelta(seconds=300)
    ask_revocation: bool = False


def services_from_file(path: Path) -> SigningServices:
    """Return what the operator's YAML file says; paths in it are relative to it.

    Raises:
        ConfigurationError: naming the file, the place and what would be right.
    """
    reader = _Reader(path)
    data = reader.mapping(reader.load(), "", {"timestamps", "revocation", "refresh_seconds"})
    stamps = reader.mapping(
        data.get("timestamps") or {},
        "timestamps",
        {"roots", "seconds", "clock_tolerance_seconds", "authorities"},
    )
    revocation = reader.mapping(
        data.get("revocation") or {}, "revocation", {"seconds", "max_bytes", "private_hosts"}
    )
    authorities = tuple(
        reader.authority(value, f"timestamps/authorities/{number}")
        for number, value in enumerate(reader.list(stamps, "authorities"))
    )
    if len({one.name for one in authorities}) != len(authorities):
        reader.wrong("timestamps/authorities", "each authority needs a name of its own")
    return SigningServices(
        authorities=authorities,
        timestamp_roots=TrustRoots.from_files(
            path.parent / str(item) for item in reader.list(stamps, "roots")
        ),
        timestamp_limits=FetchLimits(
            seconds=reader.number(stamps, "seconds", 10.0, _MAX_SECONDS),
            max_bytes=_TSA_BYTES,
            redirects=0,
        ),
        clock_tolerance=timedelta(
            seconds=reader.number(stamps, "clock_tolerance_seconds", 300.0, 86_400)
        ),
        revocation_limits=FetchLimits(
            seconds=reader.number(revocation, "seconds", 10.0, _MAX_SECONDS),
            max_bytes=int(reader.number(revocation, "max_bytes", 10 * 2**20, 2**30)),
        ),
        private_hosts=frozenset(map(str, reader.list(revocation, "private_hosts"))),
        refresh=timedelta(seconds=reader.number(data, "refresh_seconds", 300.0, 86_400)),
        ask_revocation=True,
    )


class _Reader:
    """Reads values and complains with file and place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrong(self, where: str, what: str) -> ConfigurationError:
        place = f": {where}" if where else ""
        raise ConfigurationError(f"The signing services file {self._path}{place}: {what}.")

    def load(self) -> Any:
        try:
            return YAML(typ="safe", pure=True).load(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            told = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise self.wrong("", f"it cannot be read ({told})") from error

    def mapping(self, value: Any, where: str, known: set[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict) or set(map(str, value)) - known:
            raise self.wrong(where, f"it must be a mapping with {', '.join(sorted(known))}")
        return value

    def list(self, data: Mapping[str, Any], name: str) -> list[Any]:
        value = data.get(name) or []
        if not isinstance(value, list):
            raise self.wrong(name, "it must be a list")
        return value

    def number(self, data: Mapping[str, Any], name: str, default: float, most: float) -> float:
        value = data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise self.wrong(name, f"it must be a number above 0 and at most {most:g}")
        return float(value)

    def authority(self, value: Any, where: str) -> TimestampAuthority:
        data = self.mapping(value, where, {"name", "url", "basic", "bearer_file", "policies"})
        url = str(data.get("url", ""))
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.password:
            raise self.wrong(f"{where}/url", "it must be https://… or http://…, without a password")
        authorization = self._authorization(data, where)
        if authorization and parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise self.wrong(where, "a secret is never sent over plain http; use https")
        return TimestampAuthority(
            name=str(data.get("name") or parts.hostname),
            url=url,
            authorization=authorization,
            policies=frozenset(map(str, self.list(data, "policies"))),
        )

    def _authorization(self, data: Mapping[str, Any], where: str) -> str | None:
        if "basic" in data and "bearer_file" in data:
            raise self.wrong(where, "it has either `basic` or `bearer_file`, not both")
        if "basic" in data:
            basic = self.mapping(data["basic"], f"{where}/basic", {"user", "password_file"})
            if set(basic) != {"user", "password_file"}:
                raise self.wrong(f"{where}/basic", "it must have `user` and `password_file`")
            pair = f"{basic['user']}:{self._secret(basic['password_file'], where)}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        if "bearer_file" in data:
            return f"Bearer {self._secret(data['bearer_file'], where)}"
        return None

    def _secret(self, name: Any, where: str) -> str:
        try:
            secret = (self._path.parent / str(name)).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self.wrong(where, f"the file {name} cannot be read") from error
        if not secret or not secret.isprintable() or len(secret) > _MAX_SECRET_CHARS:
            raise self.wrong(where, f"the file {name} must hold one line and nothing else")
        return secret


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
