"""What names a host in a setting: `host` or `host:port`, and no address of a page."""

import re

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?(?::([0-9]{1,5}))?", re.IGNORECASE)
_IPV6 = re.compile(r"[0-9a-f:]*::?[0-9a-f:]+", re.IGNORECASE)
_MOST_PORT = 65_535


def hosts_of(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return hosts in small letters, as addresses are compared.

    Raises:
        ValueError: naming the first that is none, and saying what is right.
    """
    for one in values:
        found = _HOST.fullmatch(one)
        right = found is not None and (found[1] is None or 0 < int(found[1]) <= _MOST_PORT)
        if not right and _IPV6.fullmatch(one) is None:
            raise ValueError(
                f"{one[:100]!r} is no host; write `host` or `host:port`, as ocsp.ca.example or "
                "crl.ca.example:8080, without http:// and path"
            )
    return tuple(one.lower() for one in values)
