"""What every PKCS#11 token has: turns, and a limit of time; SoftHSM 2 is the token."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from docflow.kernel.errors import UnavailableError
from docflow.signing.keysigner import SigningKey
from docflow.signing.token import SigningToken
from docflow.storage.sealing.providers.token import TokenKeys
from tests.token_support import PIN, empty_tokens, make_token, module, put_in, put_key

SIGNING, SEALING = "docflow-signers", "docflow-keys"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two tokens, and a file with the PIN of both."""
    with empty_tokens(tmp_path / "softhsm", monkeypatch):
        make_token(SIGNING)
        make_token(SEALING)
        (tmp_path / "pin").write_text(PIN + "\n")
        yield tmp_path


def token(seconds: float) -> SigningToken:
    return SigningToken(module(), SIGNING, lambda: (PIN, 0), seconds=seconds)


class Stuck:
    """A call of a token that does not come back until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()

    def __call__(self, _session: object) -> None:
        self.begun.set()
        self.let_go.wait(30)


def took(call: Callable[[], object]) -> tuple[float, UnavailableError]:
    """Return how long a call took to be given up, and the error."""
    started = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        call()
    return time.monotonic() - started, caught.value


def test_a_call_that_does_not_come_back_is_given_up_and_the_token_works_when_it_does(
    folder: Path,
) -> None:
    slow, stuck = token(0.5), Stuck()
    slow.certificates()  # logged in
    seconds, error = took(lambda: slow.run(stuck))
    assert stuck.begun.is_set()
    assert 0.4 < seconds < 5
    assert (error.code, "no answer in 0.5 s" in error.detail) == ("signer-token-unavailable", True)
    seconds, error = took(slow.certificates)  # it has the turn still
    assert 0.4 < seconds < 5
    slow.close()  # says nothing, and does not wait for ever
    stuck.let_go.set()
    assert token(30).certificates() == {}
    assert slow.certificates() == {}
    slow.close()


def test_one_stuck_token_makes_others_of_the_process_say_that_they_do_not_answer(
    folder: Path,
) -> None:
    keys = TokenKeys(module(), SEALING, folder / "pin", seconds=0.5)
    keys.create_next("VP/confidential")
    slow, stuck = token(0.2), Stuck()
    took(lambda: slow.run(stuck))
    _, error = took(lambda: keys.wrap("VP/confidential", 1, b"k" * 32, b""))
    assert error.code == "key-provider-unavailable"
    stuck.let_go.set()
    wrapped = keys.wrap("VP/confidential", 1, b"k" * 32, b"")
    assert keys.unwrap("VP/confidential", 1, wrapped, b"") == b"k" * 32
    keys.close()
    slow.close()


def test_what_an_action_raises_is_passed_on(folder: Path) -> None:
    def fail(_session: object) -> None:
        raise TimeoutError("the action's own")

    one = token(30)
    with pytest.raises(TimeoutError, match="the action's own"):
        one.run(fail)
    assert one.certificates() == {}
    one.close()


def test_threads_take_turns(folder: Path) -> None:
    one, inside, most = token(30), 0, 0

    def action(_session: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1

    threads = [threading.Thread(target=one.run, args=(action,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)
    one.close()


def make_key(kind: str) -> SigningKey:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 3072)
    return ec.generate_private_key(ec.SECP256R1())


def used_while_away(folder: Path, tries: int, *calls: Callable[[], object]) -> None:
    """Move all tokens away as when an HSM loses its network, try, and bring them back."""
    tokens = folder / "softhsm" / "tokens"
    away = tokens.with_name("away")
    tokens.rename(away)
    try:
        for _ in range(tries):
            for call in calls:
                with pytest.raises(UnavailableError) as caught:
                    call()
                assert caught.value.code.endswith("-unavailable")
    finally:
        away.rename(tokens)


@pytest.mark.parametrize("tries", [0, 1, 3])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_tokens_that_went_away_and_came_back_sign_and_seal_in_the_same_process(
    folder: Path, kind: str, tries: int
) -> None:
    put_key(folder, SIGNING, "lan.nt", make_key(kind))
    one, keys = token(30), TokenKeys(module(), SEALING, folder / "pin")
    keys.create_next("VP/confidential")
    wrapped = keys.wrap("VP/confidential", 1, b"k" * 32, b"")

    def sign() -> bytes:
        return one.sign("lan.nt", "sha256", b"data")

    def unwrap() -> bytes:
        return keys.unwrap("VP/confidential", 1, wrapped, b"")

    assert sign()
    used_while_away(folder, tries, sign, unwrap)
    assert sign()
    assert unwrap() == b"k" * 32
    assert keys.versions("VP/confidential") == [1]
    assert sign()
    one.close()
    assert unwrap() == b"k" * 32  # who closes ends no session but its own
    keys.close()


def test_one_token_of_a_library_that_is_away_leaves_the_other_in_use(folder: Path) -> None:
    keys = TokenKeys(module(), SEALING, folder / "pin")
    keys.create_next("VP/confidential")
    wrapped = keys.wrap("VP/confidential", 1, b"k" * 32, b"")
    missing = SigningToken(module(), "not-in-yet", lambda: (PIN, 0))
    for _ in range(3):
        with pytest.raises(UnavailableError):
            missing.certificates()
        assert keys.unwrap("VP/confidential", 1, wrapped, b"") == b"k" * 32
    put_in("not-in-yet")
    assert missing.certificates() == {}
    assert keys.unwrap("VP/confidential", 1, wrapped, b"") == b"k" * 32
    missing.close()
    keys.close()


def test_threads_go_on_when_the_library_starts_anew_between_them(folder: Path) -> None:
    put_key(folder, SIGNING, "lan.nt", make_key("ec"))
    one, keys = token(30), TokenKeys(module(), SEALING, folder / "pin")
    keys.create_next("VP/confidential")
    wrapped = keys.wrap("VP/confidential", 1, b"k" * 32, b"")
    missing = SigningToken(module(), "never", lambda: (PIN, 0))
    failed: list[Exception] = []

    def again(call: Callable[[], object]) -> None:
        for _ in range(15):
            try:
                call()
            except UnavailableError as error:
                if "never" not in error.detail:
                    failed.append(error)
            except Exception as error:  # noqa: BLE001 - shown below
                failed.append(error)

    calls = (
        lambda: one.sign("lan.nt", "sha256", b"data"),
        lambda: keys.unwrap("VP/confidential", 1, wrapped, b""),
        missing.certificates,
    )
    threads = [threading.Thread(target=again, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    one.close()
    keys.close()
