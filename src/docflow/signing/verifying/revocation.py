"""What is wanted and what was answered about revocation, put to one signature.

Rule: it is asked about a signature that is intact and leads to an anchor, and about the timestamp in it,
where what the file carries does not tell.
"""

from dataclasses import replace

from docflow.signing.verifying.evidence import Carried, Outcome, path_of, revocation_known
from docflow.signing.verifying.terms import Terms


def with_fetched(carried: Carried, terms: Terms) -> Carried:
    """Return what a file carries, and what was answered beside it."""
    lists, answers = terms.fetched.parsed
    both = replace(carried, crls=[*carried.crls, *lists], answers=[*carried.answers, *answers])
    return both.issued_by(terms.now)


def want(outcome: Outcome, carried: Carried, terms: Terms) -> None:
    """Collect what could be asked about a signature and its timestamp."""
    status = outcome.status
    if terms.wanted is None or status is None or not (status.intact and status.valid):
        return
    path = path_of(status)
    if not (outcome.checked and revocation_known(path, carried)):
        terms.wanted.about(path)
    stamp = getattr(status, "timestamp_validity", None)
    if stamp is not None and stamp.intact and stamp.valid:
        above = path_of(stamp)
        if not revocation_known(above, carried):
            terms.wanted.about(above)
