"""Where the keys of the object storage come from: a file, or the process's environment.

A file is read again as soon as it changes, so keys are rotated without a restart. No key is logged,
shown in a `repr` or quoted in an error.
"""

import configparser
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from minio.credentials.credentials import Credentials
from minio.credentials.providers import Provider

from docflow.kernel.errors import ConfigurationError


class EnvironmentCredentials(Provider):
    """`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where there is one, `AWS_SESSION_TOKEN`."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Read the environment once.

        Raises:
            ConfigurationError: if a variable is missing.
        """
        found = os.environ if environment is None else environment
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if missing := [name for name in names if not found.get(name)]:
            raise _wrong(
                f"{' and '.join(missing)} not set in the environment",
                "Set both, or name a credentials file.",
            )
        self._credentials = Credentials(
            found[names[0]], found[names[1]], found.get("AWS_SESSION_TOKEN")
        )

    def retrieve(self) -> Credentials:
        """Return the credentials."""
        return self._credentials


class _Watched(Provider):
    """Credentials in a file, parsed again when the file is another one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._credentials: Credentials | None = None
        self.retrieve()

    def retrieve(self) -> Credentials:
        """Return the credentials that the file has now.

        Raises:
            ConfigurationError: if the file cannot be read or holds none.
        """
        with self._lock:
            try:
                state = self._path.stat()
                seen = (state.st_mtime_ns, state.st_size, state.st_ino)
                if self._credentials is None or seen != self._seen:
                    self._credentials = self._parse(self._path.read_text("utf-8"))
                    self._seen = seen
            except OSError as error:
                raise _wrong(
                    f"{self._path} cannot be read: {error.strerror}",
                    "Name a file that the service may read.",
                ) from None
            except UnicodeDecodeError:
                raise _wrong(f"{self._path} is not text", "Write it in UTF-8.") from None
            return self._credentials

    def _parse(self, text: str) -> Credentials:
        raise NotImplementedError


class FileCredentials(_Watched):
    """One profile of a file in the form of AWS's shared credentials (INI)."""

    def __init__(self, path: Path, profile: str = "default") -> None:
        """Read the file.

        Raises:
            ConfigurationError: if it cannot be read or lacks the profile or a key.
        """
        self._profile = profile
        super().__init__(path)

    def _parse(self, text: str) -> Credentials:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
            profile = parser[self._profile]
            return Credentials(
                profile["aws_access_key_id"],
                profile["aws_secret_access_key"],
                profile.get("aws_session_token"),
            )
        # a parser's own words would quote the line, which may be the secret
        except (configparser.Error, KeyError, ValueError):
            raise _wrong(
                f"{self._path} has no credentials",
                f"Write [{self._profile}], then aws_access_key_id = … and "
                "aws_secret_access_key = …, each on a line.",
            ) from None


class KeyFileCredentials(_Watched):
    """An access key from the settings, and a file that holds nothing but its secret."""

    def __init__(self, access_key: str, secret_file: Path) -> None:
        """Read the file.

        Raises:
            ConfigurationError: if it cannot be read or is empty.
        """
        self._access_key = access_key
        super().__init__(secret_file)

    def _parse(self, text: str) -> Credentials:
        try:
            return Credentials(self._access_key, text.strip())
        except ValueError:
            raise _wrong(
                f"{self._path} or the access key is empty", "Write the secret key into the file."
            ) from None


def credentials_from(
    access_key: str,
    secret_file: Path | None,
    credentials_file: Path | None,
    profile: str = "default",
) -> Provider:
    """Return the source that the settings name: key and secret file, or a file, or the environment.

    Raises:
        ConfigurationError: if two are named, one is named by half, or the named one has no keys.
    """
    if bool(access_key) != (secret_file is not None):
        raise _wrong(
            "the access key and the file of its secret go together", "Set both, or neither."
        )
    if secret_file is not None:
        if credentials_file is not None:
            raise _wrong("two sources are named", "Keep the secret file or the credentials file.")
        return KeyFileCredentials(access_key, secret_file)
    if credentials_file is not None:
        return FileCredentials(credentials_file, profile)
    return EnvironmentCredentials()


def _wrong(problem: str, right: str) -> ConfigurationError:
    return ConfigurationError(
        f"Credentials of the object storage: {problem}. {right}", code="storage-misconfigured"
    )
