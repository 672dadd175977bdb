"""The verifier of one instance: its anchors and its strictness, and a process apart for each file."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from docflow.signing.isolated import DEFAULT_MEMORY_BYTES, verify_isolated
from docflow.signing.outside.asking import Asker
from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.terms import Changes, Policy, Revocation
from docflow.signing.verifying.trusted_lists import Anchors, ListRules, load_anchors


@dataclass(frozen=True, slots=True)
class Verifier:
    """Whom this instance trusts, how strict it is, and what judging one file may take.

    Attributes:
        own_roots: this organisation's roots.
        anchors: further anchors.
        policy: how strictly files are judged.
        timeout_s: wall-clock seconds for one file.
        memory_bytes: address space for one file.
        asker: asks about revocation; None to go by what files carry alone.
    """

    own_roots: TrustRoots
    anchors: Anchors
    policy: Policy
    timeout_s: float
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    asker: Asker | None = None

    @classmethod
    def make(
        cls,
        own_roots: TrustRoots,
        roots: TrustRoots,
        files: Iterable[Path],
        *,
        lists: ListRules | None = None,
        algorithms_file: Path | None = None,
        changes: Changes = "signatures",
        revocation: Revocation = "if-present",
        timeout_s: float,
        asker: Asker | None = None,
    ) -> "Verifier":
        """Read anchors and algorithm policy; `lists` says whose trusted lists count.

        Raises:
            ConfigurationError: naming the file that is missing or wrong.
        """
        found = load_anchors(files, lists)
        anchors = dataclasses.replace(found, roots=roots + found.roots)
        algorithms = (
            AlgorithmPolicy.from_file(algorithms_file) if algorithms_file else shipped_policy()
        )
        policy = Policy(changes, revocation, anchors.stamping, algorithms)
        return cls(own_roots, anchors, policy, timeout_s, asker=asker)

    def report(self, path: Path, *, now: datetime, data: Path | None = None) -> VerificationReport:
        """Judge the file at `path`, and `data` with it where the signature is detached.

        Raises:
            FileNotFoundError: if there is nothing at a path.
            UnavailableError: if too many files are being judged already.
        """
        report = verify_isolated(
            path,
            self.anchors.roots,
            now=now,
            own_roots=self.own_roots,
            data=data,
            policy=self.policy,
            timeout_s=self.timeout_s,
            memory_bytes=self.memory_bytes,
            asker=self.asker,
        )
        doubts = self.anchors.doubts(now)
        return dataclasses.replace(report, reasons=(*report.reasons, *doubts)) if doubts else report
