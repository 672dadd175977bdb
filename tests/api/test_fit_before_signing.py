"""What would not fit on the page is refused when it is asked for, as the job would refuse it."""

from functools import partial
from typing import Any

import pytest

from docflow.documents.fire import fire
from docflow.kernel.errors import InvalidInputError
from docflow.release.fitting import try_on
from docflow.storage import ObjectStore
from tests.api_support import Office, answered, if_match
from tests.card_support import Card, enrol
from tests.office_support import ADMINISTRATOR, CLERK, LEADER, Instance

BAD: list[tuple[dict[str, Any], str]] = [
    ({"number": "top-left", "date": "top-left"}, "stamp-overlap"),
    ({"number": {"page": 1, "x": 30, "y": 30}, "date": {"page": 1, "x": 31, "y": 31}}, "stamp-overlap"),
    ({"qr": {"page": 1, "x": 200, "y": 20}}, "stamp-anchor"),
    ({"date": {"page": 1, "x": 10, "y": 290}, "number": {"page": 1, "x": 10, "y": 299}}, "stamp-anchor"),
    ({"number": {"page": 1, "x": 205, "y": 20}}, "stamp-anchor"),
    ({"signature": {"page": 1, "x": 205, "y": 280}}, "stamp-anchor"),
]  # fmt: skip


def jobs_words(office: Instance, document: str, place: dict[str, Any]) -> InvalidInputError:
    """Return what the job says of a place that nobody tried on; the document can be signed after it."""
    version = office.row(document)["version"]
    outcome = fire(
        office.services.desk, office.actor(LEADER), document, "sign", {}, if_version=version,
        place=place,
    )  # fmt: skip
    with pytest.raises(InvalidInputError) as caught:
        office.run(outcome)
    return caught.value


@pytest.mark.parametrize(("place", "code"), BAD)
def test_a_request_is_refused_in_the_words_of_the_job_and_changes_nothing(
    office: Office, place: dict[str, Any], code: str
) -> None:
    said = jobs_words(office.instance, office.approved(), place)
    assert said.code == code
    document = office.approved()
    before = office.instance.row(document)
    leader = office.login(LEADER)
    refused = leader.post(
        f"/v1/documents/{document}/transitions",
        {"trigger": "sign", "place": place},
        headers=if_match(before["version"]),
    )
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert refused.json()["detail"] == said.detail
    assert office.instance.row(document) == before
    assert len(office.instance.rows("jobs", kind="sign")) == 1  # of the other document
    answered(
        leader.post(
            f"/v1/documents/{document}/transitions", {"trigger": "sign"},
            headers=if_match(before["version"]),
        ),
        202,
    )  # fmt: skip
    office.run_jobs()
    assert office.instance.row(document)["state"] == "signed"


def test_who_may_not_sign_hears_that_and_not_where_it_would_not_fit(office: Office) -> None:
    document = office.approved()
    version = office.instance.row(document)["version"]
    refused = office.login(CLERK).post(
        f"/v1/documents/{document}/transitions",
        {"trigger": "sign", "place": BAD[0][0]},
        headers=if_match(version),
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "role-required")


def test_a_session_for_a_card_is_refused_the_same(office: Office) -> None:
    leader = office.login(LEADER)
    now = office.services.clock.now()
    card = Card.issue(office.instance.folder / "pki", "Nguyễn Hữu Sơn", now)
    enrol(office.login(ADMINISTRATOR), leader, office.person(LEADER)["id"], card)
    document = office.approved()
    before = office.instance.row(document)
    refused = leader.post(
        f"/v1/documents/{document}/signing-sessions",
        {"trigger": "sign", "place": BAD[0][0]},
        headers=if_match(before["version"]),
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "stamp-overlap")
    assert office.instance.row(document) == before


def test_a_confidential_file_is_tried_on_too(sealed: Instance) -> None:
    document = sealed.to_approved(sealed.draft())
    before = sealed.row(document)
    studio = sealed.services.studio
    with pytest.raises(InvalidInputError) as refused:
        fire(
            sealed.services.desk, sealed.actor(LEADER), document, "sign", {},
            if_version=before["version"], place=BAD[0][0], try_on=partial(try_on, studio),
        )  # fmt: skip
    assert refused.value.code == "stamp-overlap"
    assert sealed.row(document) == before


def test_what_cannot_be_tried_on_now_is_left_to_the_job(instance: Instance) -> None:
    document = instance.to_approved(instance.draft())
    (main,) = instance.rows("files", document_id=document)
    store: ObjectStore = instance.services.store
    store.delete(main["storage_key"])
    outcome = fire(
        instance.services.desk, instance.actor(LEADER), document, "sign", {},
        if_version=instance.row(document)["version"], place=BAD[0][0],
        try_on=partial(try_on, instance.services.studio),
    )  # fmt: skip
    assert instance.row(document)["pending"]["job_id"] == outcome.job_id
