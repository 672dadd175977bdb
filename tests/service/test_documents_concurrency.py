"""Many at once, on both databases: no double number, no gap, and one winner per version."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from docflow.documents import rows as document_rows
from docflow.documents.create import NewDocument, create
from docflow.documents.fire import fire
from docflow.kernel.errors import ConflictError, DocflowError, StaleVersionError
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance


def test_numbers_have_no_double_and_no_gap_under_contention(any_instance: Instance) -> None:
    office = any_instance
    desk, author, head = office.services.desk, office.actor(SPECIALIST), office.actor(HEAD)
    content = office.decision.read_bytes()

    def client(number: int) -> str:
        new = NewDocument(
            subject=f"Văn bản {number}", type_code="QĐ", direction="outgoing", recipients=["STC"]
        )
        document = create(desk, author, new, main=office.received(content))
        fire(desk, author, document, "submit", {}, if_version=1)
        symbol = fire(desk, head, document, "approve", {}, if_version=2).symbol
        assert symbol is not None
        return symbol

    with ThreadPoolExecutor(16) as pool:
        symbols = list(pool.map(client, range(60)))
    assert sorted(symbols) == sorted(f"{n:02}/QĐ-VPUB" for n in range(1, 61))
    (counter,) = office.rows("register_counters", book="outgoing")
    assert counter["last"] == 60


def test_of_two_clerks_firing_on_the_same_version_one_wins(any_instance: Instance) -> None:
    office = any_instance
    desk = office.services.desk
    for _ in range(5):
        document = office.incoming(accept_duplicate="thử")
        if office.row(document)["duplicate_of"]:
            trigger, asked = "register_anyway", {"reason": "thử"}
        else:
            trigger, asked = "register", {}
        barrier = threading.Barrier(2)
        outcomes: list[str] = []

        def clerk(login: str, document: str = document, trigger: str = trigger,
                  asked: dict[str, str] = asked, barrier: threading.Barrier = barrier,
                  outcomes: list[str] = outcomes) -> None:  # fmt: skip
            actor = office.actor(login)
            barrier.wait()
            try:
                outcomes.append(fire(desk, actor, document, trigger, asked, if_version=1).state)
            except (StaleVersionError, ConflictError) as refused:
                outcomes.append(f"refused in {refused.extra['state']}")

        office.actor(CLERK), office.actor("linh.pn")
        threads = [threading.Thread(target=clerk, args=(login,)) for login in (CLERK, "linh.pn")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(outcomes) == {"registered": 1, "refused in registered": 1}


def test_two_posts_of_the_same_incoming_document_at_once_are_noticed(
    any_instance: Instance,
) -> None:
    office = any_instance
    office.actor(CLERK)
    barrier = threading.Barrier(4)
    posted: list[str] = []

    def post() -> None:
        barrier.wait()
        try:
            posted.append(office.incoming(3))
        except ConflictError as refused:
            posted.append(refused.code)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(len(item) == 36 for item in posted) == {True: 1, False: 3}
    assert {item for item in posted if len(item) != 36} == {"duplicate-document"}


def test_two_leaders_asking_to_sign_start_one_job(any_instance: Instance) -> None:
    office = any_instance
    desk = office.services.desk
    document = office.to_approved(office.draft())
    version = office.row(document)["version"]
    actors = [office.actor(LEADER), office.actor("mai.bt")]
    results: list[str] = []
    barrier = threading.Barrier(2)

    def ask(number: int) -> None:
        barrier.wait()
        try:
            outcome = fire(desk, actors[number], document, "sign", {}, if_version=version)
            results.append(outcome.phase)
        except DocflowError as refused:
            results.append(refused.code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["request", "stale-version"]
    assert len(office.services.engine.list(subject_id=document).jobs) == 1
    assert document_rows.JOBS not in office.row(document)["fired_by"]
