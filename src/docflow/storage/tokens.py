"""A PKCS#11 token that is logged in while it is used: what keys that sign and keys that seal share.

Rules:
- The PIN is asked for at each login and is in no error, log or representation. One that the token
  refused is not tried again until its file changes, for tokens lock after a few tries.
- A session that is lost is opened again, once per call. Where that does not help, the library is
  initialised anew, once per call: some know a token that went away and came back only then. That ends
  every session of the process in that library; each token opens its own again when it is next used.
- Calls into PKCS#11 libraries take turns in a process, because the libraries are initialised without
  locking. Logouts are the token's: use one token for signing and another for sealing.
- A call has a time limit, its turn included. The library cannot be interrupted: a call that does not
  come back is left in its thread, holding the turn, and everyone is told that the token does not
  answer until it does.

Source: OASIS PKCS #11 3.0.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from docflow.kernel.errors import DocflowError, UnavailableError

CALL_SECONDS = 30.0
_TURN = threading.Lock()  # one for all libraries and tokens of a process
_STARTS: Counter[Path] = Counter()  # how often each library was initialised anew; has the turn
_T = TypeVar("_T")


class _GoneError(Exception):
    """The token cannot be used as things are; a new session, or a new start of the library, may help."""

    def __init__(self, told: DocflowError) -> None:
        super().__init__()
        self.told = told
        """What the caller is told if nothing helps."""


class Token:
    """One token, logged in while it is used. Threads share it and take turns.

    Subclasses say what the token is for in the words of its errors.
    """

    writes = False
    """Whether sessions change what is in the token."""

    def __init__(
        self,
        module: Path,
        label: str,
        pin: Callable[[], tuple[str, int]],
        *,
        seconds: float = CALL_SECONDS,
    ) -> None:
        """Hold what opens a token; nothing is opened yet.

        Args:
            module: the vendor's PKCS#11 library.
            label: the token's label.
            pin: returns the user PIN and a number that changes whenever the PIN may have changed.
            seconds: how long one call may take.
        """
        self.module = module
        self.label = label
        self.handles: dict[Any, Any] = {}
        """Handles of keys, kept by the subclass; they live as long as the session."""
        self._pin = pin
        self._seconds = seconds
        self._session: Any = None
        self._start = 0  # of the library that the session belongs to
        self._seen = False
        self._refused: int | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"

    # -- what a subclass says ------------------------------------------------------------------------

    @property
    def library_lacking(self) -> str:
        """Say what is wrong with the library's file."""
        if self.module.is_file():
            return f"The file {self.module} is no PKCS#11 library that this machine can load."
        return f"There is no PKCS#11 library {self.module}."

    def no_library(self) -> DocflowError:
        """Return the error of a library that is not there, or is none."""
        raise NotImplementedError

    def no_token(self, shown: int) -> DocflowError:
        """Return the error of a label that no token has, or several have."""
        raise NotImplementedError

    def wrong_pin(self, why: str) -> DocflowError:
        """Return the error of a PIN that the token does not accept."""
        raise NotImplementedError

    def away(self, why: str) -> UnavailableError:
        """Return the error of a token that does not answer."""
        raise NotImplementedError

    def check(self, token: Any) -> None:
        """Refuse a token that cannot do what is needed."""

    # -- calls ---------------------------------------------------------------------------------------

    def run(self, action: Callable[[Any], _T]) -> _T:
        """Run an action in a session; again, in a new one and a library started anew, if it was lost.

        Raises:
            ConfigurationError: if library, token or PIN is not there or not right.
            UnavailableError: if the token does not answer, or not in time.
            Exception: what the action raises.
        """
        return self._in_time(lambda: self._until_it_answers(action))

    def forget(self) -> None:
        """Log out; the next call logs in again.

        Raises:
            UnavailableError: if the token does not answer in time.
        """
        self._in_time(self._drop)

    def close(self) -> None:
        """Log out; a token that does not answer is left alone."""
        try:
            self.forget()
        except UnavailableError:
            return

    def _in_time(self, work: Callable[[], _T]) -> _T:
        """Return what `work` does at its turn, in a thread of its own that can be left behind."""
        until = time.monotonic() + self._seconds
        late = f"no answer in {self._seconds:g} s"
        if not _TURN.acquire(timeout=self._seconds):
            raise self.away(late)
        answer: Future[_T] = Future()

        def call() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:  # noqa: BLE001 - handed to who waits
                answer.set_exception(error)
            finally:
                _TURN.release()

        threading.Thread(target=call, name="pkcs11", daemon=True).start()
        try:
            return answer.result(until - time.monotonic())
        except TimeoutError:
            if answer.done():  # in this very moment, or the error is the work's own
                return answer.result()
            raise self.away(late) from None

    def _until_it_answers(self, action: Callable[[Any], _T]) -> _T:
        self._drop_if_ended()
        ways = [self._start_anew] if self._session is None else [self._drop, self._start_anew]
        for mend in ways:
            try:
                return self._try(action)
            except _GoneError:
                self._drop()
                mend()
        try:
            return self._try(action)
        except _GoneError as gone:
            self._drop()
            raise gone.told from None

    def _try(self, action: Callable[[Any], _T]) -> _T:
        if self._session is None:
            self._session = self._open()
            self._start = _STARTS[self.module]
            self._seen = True
        try:
            return action(self._session)
        except (*lost(), binding().GeneralError) as error:
            raise self._gone(error) from None
        except binding().PKCS11Error as error:
            self._drop()
            raise self._gone(error).told from None

    def _open(self) -> Any:
        pkcs11 = binding()
        token = self._found()
        pin, written = self._pin()
        if written == self._refused:
            raise self.wrong_pin(
                "was refused before and is not tried again, or the token would lock"
            )
        try:
            return token.open(rw=self.writes, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
            return token.open(rw=self.writes)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            self._refused = written
            raise self.wrong_pin("is wrong") from None
        except (pkcs11.PinLocked, pkcs11.PinExpired) as error:
            self._refused = written
            raise self.wrong_pin(f"is no longer accepted ({type(error).__name__})") from None
        except pkcs11.PKCS11Error as error:
            raise self._gone(error) from None

    def _found(self) -> Any:
        pkcs11 = binding()
        try:
            library = pkcs11.lib(str(self.module))
            found = list(library.get_tokens(token_label=self.label))
        except pkcs11.PKCS11Error as error:
            # what cannot be loaded is told by the class of them all, what a library says by its own
            if type(error) is pkcs11.PKCS11Error or not self.module.is_file():
                raise self.no_library() from None
            raise self._gone(error) from None
        if not found:  # a token that was there is away, not named wrongly
            raise _GoneError(self.away("it is not there") if self._seen else self.no_token(0))
        if len(found) != 1:
            raise self.no_token(len(found))
        self.check(found[0])
        return found[0]

    def _drop_if_ended(self) -> None:
        """Forget a session that ended with its library, and do not close it: its number is another's."""
        if self._start != _STARTS[self.module]:
            self._session = None
            self.handles.clear()

    def _drop(self) -> None:
        self._drop_if_ended()
        session, self._session = self._session, None
        self.handles.clear()
        if session is not None:
            with suppress(binding().PKCS11Error):  # the token is gone, and the session with it
                session.close()

    def _start_anew(self) -> None:
        """Initialise the library anew; the turn keeps every other call out of it meanwhile."""
        pkcs11 = binding()
        _STARTS[self.module] += 1
        with suppress(pkcs11.PKCS11Error):  # the next try tells
            pkcs11.lib(str(self.module)).reinitialize()

    def _gone(self, error: Exception) -> _GoneError:
        return _GoneError(self.away(type(error).__name__))


def secret_in(path: Path, what: str, error: Callable[[str], DocflowError]) -> tuple[str, int]:
    """Return the secret on the first line of a file, and when the file was written.

    Args:
        path: the file.
        what: what the secret is, for the error.
        error: makes the error of a file that cannot be read or is empty.

    Raises:
        DocflowError: what `error` makes.
    """
    try:
        written = path.stat().st_mtime_ns
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as failed:
        why = failed.strerror if isinstance(failed, OSError) else "it is not text"
        raise error(f"The {what} file {path} cannot be read: {why}.") from None
    if not lines or not lines[0]:
        raise error(f"The {what} file {path} is empty.")
    return lines[0], written


def binding() -> Any:
    """Return the PKCS#11 binding; it is loaded where a token is used, and nowhere else."""
    import pkcs11

    return pkcs11


def lost() -> tuple[type[Exception], ...]:
    """Return what tells that a session or its handles are no longer good, and a new one may be."""
    pkcs11 = binding()
    return (
        pkcs11.DeviceError,
        pkcs11.DeviceRemoved,
        pkcs11.FunctionFailed,
        pkcs11.KeyHandleInvalid,
        pkcs11.ObjectHandleInvalid,
        pkcs11.SessionClosed,
        pkcs11.SessionHandleInvalid,
        pkcs11.TokenNotPresent,
        pkcs11.UserNotLoggedIn,
    )


def objects(session: Any, kind: str, **wanted: Any) -> list[Any]:
    """Return the objects of a class (`PRIVATE_KEY`, …) with these attributes."""
    pkcs11 = binding()
    session.generate_random(8)  # a lost session fails here; a search in it would complain to stderr
    attributes = {pkcs11.Attribute[name.upper()]: value for name, value in wanted.items()}
    return list(
        session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass[kind], **attributes})
    )
