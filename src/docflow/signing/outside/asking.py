"""Asking about the revocation of strangers' certificates, for a judge that may not ask itself.

Rules:
- Off unless the operator names hosts; only those are asked, and a redirect leads nowhere.
- A named host at an address that is not public is reached only if the signing services file names it too.
- Bounded: seconds and bytes of each answer (`FetchLimits`), and of all answers about one file, and their
  number. What is asked and answered is bytes: nothing of it is read here.

Source: RFC 6960 A.1 (OCSP over HTTP), RFC 5280 4.2.1.13.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from docflow.signing.outside.fetching import Fetcher, FetchError, FetchLimits, host_of
from docflow.signing.verifying.questions import MOST_QUESTIONS, Fetched, Question

_HEADERS: Final = {
    "Content-Type": "application/ocsp-request",
    "Accept": "application/ocsp-response",
}
_MOST_BYTES: Final = 16 << 20  # of all answers about one file
_LEAST_OCSP_BYTES: Final = 100  # a responder that has no answer says so in five (RFC 6960 4.2.1)
_SECONDS: Final = 20.0  # for all of them
_MOST_CHARS: Final = 400  # of what is told about one who did not answer
_ASKED: Final = {
    "ocsp": "Revocation was asked about by OCSP, in vain:",
    "crl": "A revocation list was asked for, in vain:",
}


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the hosts that may be asked.

    Args:
        hosts: `host` or `host:port`.
        limits: of one answer.
        private_hosts: those that may be at an address that is not public.
    """

    hosts: frozenset[str]
    limits: FetchLimits
    private_hosts: frozenset[str] = frozenset()

    def allowed(self, question: Question) -> bool:
        """Tell whether the host of a question may be asked."""
        try:
            parts = urlsplit(question.url)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            return False
        return bool({str(parts.hostname), f"{parts.hostname}:{port}"} & self.hosts)

    def ask(self, questions: Iterable[Question]) -> Fetched | None:
        """Return what was answered; None if no question may be asked, and so none was.

        About each certificate it is asked until one answers. What does not answer is left out: whoever
        judges then sees that it is missing, and people are told who was asked and what failed.
        """
        allowed = [one for one in questions if self.allowed(one)][:MOST_QUESTIONS]
        if not allowed:
            return None
        end = time.monotonic() + _SECONDS
        left = _MOST_BYTES
        known: set[int] = set()
        found: dict[str, list[bytes]] = {"ocsp": [], "crl": []}
        failed: list[tuple[int, str]] = []
        answered: list[str] = []
        for one in allowed:
            if one.about in known:
                continue
            try:
                answer = self._one(one, left, end - time.monotonic())
            except FetchError as error:
                failed.append((one.about, f"{_ASKED[one.kind]} {error}"))
                continue
            if one.kind == "crl" or len(answer) >= _LEAST_OCSP_BYTES:
                known.add(one.about)
                answered.append(host_of(one.url))
            else:
                failed.append((one.about, f"{_ASKED['ocsp']} {host_of(one.url)} has no answer."))
            left -= len(answer)
            found[one.kind].append(answer)
        told = dict.fromkeys(why[:_MOST_CHARS] for about, why in failed if about not in known)
        return Fetched(
            tuple(found["ocsp"]), tuple(found["crl"]), tuple(told), tuple(dict.fromkeys(answered))
        )

    def _one(self, question: Question, most_bytes: int, seconds: float) -> bytes:
        if most_bytes <= 0 or seconds <= 0:
            raise FetchError(
                f"{host_of(question.url)} was not asked: what may be asked about one file is used up."
            )
        limits = replace(
            self.limits,
            seconds=min(self.limits.seconds, seconds),
            max_bytes=min(self.limits.max_bytes, most_bytes),
            redirects=0,
        )
        fetcher = Fetcher(limits, self.private_hosts)
        if question.kind == "ocsp":
            return fetcher.post(question.url, question.body, _HEADERS)
        return fetcher.get(question.url)
