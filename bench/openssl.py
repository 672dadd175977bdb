"""What the machine's OpenSSL does, measured beside: `openssl speed -evp aes-256-gcm`."""

import shutil
import subprocess

from bench.client import WrongResultError


def speed(piece_bytes: int) -> float:
    """Return bytes that AES-256-GCM encrypts in a second of processor time, in pieces of this size.

    Raises:
        WrongResultError: if the program is not there or says nothing.
    """
    told = _run("speed", "-mr", "-evp", "aes-256-gcm", "-bytes", str(piece_bytes), "-seconds", "1")
    for line in told.splitlines():
        if line.startswith("+F:"):
            return float(line.rpartition(":")[2])
    raise WrongResultError(f"openssl speed gave no figure: {told[-300:]}")


def version() -> str:
    """Return the version, as `OpenSSL 3.0.19`."""
    try:
        return " ".join(_run("version").split()[:2])
    except WrongResultError:
        return "no OpenSSL"  # those who measure nothing beside it need none


def _run(*arguments: str) -> str:
    program = shutil.which("openssl")
    if program is None:
        raise WrongResultError("the program openssl is missing; install the Debian package openssl")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongResultError(f"openssl {arguments[0]} failed: {done.stderr[-300:]}")
    return done.stdout
