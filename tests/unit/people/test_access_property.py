"""The answer for one document and the condition for many are the same rule."""

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE, Actor, ActorKind, Office
from docflow.people.access import DocumentFacts, Permission, decide, readable
from docflow.people.tree import UnitTree
from docflow.people.vocabulary import Role, Scope

COLUMNS = ("id", "unit_id", "author_id", "assignee_id", "classification")
PEOPLE = ("p0", "p1", "p2", "p3")
KINDS: tuple[ActorKind, ...] = ("person", "system", "recipient")

mini = sa.Table(
    "documents",
    sa.MetaData(),
    *(sa.Column(name, sa.String, primary_key=name == "id") for name in COLUMNS),
)
ENGINE = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
mini.metadata.create_all(ENGINE)


@st.composite
def trees(draw: st.DrawFn) -> UnitTree:
    """Units u0 … u7, each below one that came before it or a root of its own."""
    parents: list[tuple[str, str | None]] = [("u0", None)]
    for number in range(1, draw(st.integers(1, 8))):
        parent = draw(st.none() | st.integers(0, number - 1))
        parents.append((f"u{number}", None if parent is None else f"u{parent}"))
    return UnitTree(parents)


@st.composite
def actors(draw: st.DrawFn, tree: UnitTree) -> Actor:
    units = st.sampled_from([f"u{number}" for number in range(8)])
    roles = st.sampled_from([*Role, "king"])
    held = draw(st.lists(st.builds(Office, units, roles.map(str)), max_size=4, unique=True))
    every = [scope.value for scope in Scope]
    scopes = draw(st.none() | st.frozensets(st.sampled_from(every)) | st.just(frozenset(every)))
    return Actor(
        id=draw(st.sampled_from(PEOPLE)),
        kind=draw(st.sampled_from(KINDS)),
        offices=tuple(held),
        unit_tree=tuple((unit, tree.below(unit)) for unit in sorted({o.unit_id for o in held})),
        scopes=scopes,
        recipient_ids=draw(st.frozensets(st.sampled_from(PEOPLE))),
    )


@st.composite
def stores(draw: st.DrawFn) -> list[DocumentFacts]:
    number = draw(st.integers(0, 12))
    levels = ("public", "internal", "confidential", "top-secret", "")
    return [
        DocumentFacts(
            id=f"d{index}",
            direction="incoming",
            state="draft",
            unit_id=draw(st.sampled_from([f"u{unit}" for unit in range(8)])),
            author_id=draw(st.sampled_from(PEOPLE)),
            assignee_id=draw(st.none() | st.sampled_from(PEOPLE)),
            classification=draw(st.sampled_from(levels)),
        )
        for index in range(number)
    ]


def selected(actor: Actor, store: list[DocumentFacts], table: sa.FromClause) -> set[str]:
    rows = [{name: getattr(document, name) for name in COLUMNS} for document in store]
    with ENGINE.connect() as connection:
        if rows:
            connection.execute(sa.insert(mini), rows)
        statement = sa.select(table.c.id).where(readable(actor, table))
        found = set(connection.execute(statement).scalars())
        connection.rollback()
    return found


@settings(deadline=None)
@given(data=st.data(), tree=trees(), store=stores())
def test_the_condition_selects_exactly_what_the_rule_allows(
    data: st.DataObject, tree: UnitTree, store: list[DocumentFacts]
) -> None:
    actor = data.draw(actors(tree))
    expected = {
        document.id
        for document in store
        if decide(actor, Permission.DOCUMENT_READ, document).allowed
    }
    assert selected(actor, store, mini) == expected
    assert selected(actor, store, mini.alias("d")) == expected


@settings(deadline=None)
@given(data=st.data(), tree=trees(), store=stores())
def test_what_is_allowed_is_visible_and_what_is_acted_on_is_readable_to_a_session(
    data: st.DataObject, tree: UnitTree, store: list[DocumentFacts]
) -> None:
    actor = data.draw(actors(tree))
    acts = (Permission.DOCUMENT_EDIT, Permission.DOCUMENT_FIRE, Permission.REGISTER_VOID)
    for document in store:
        for permission in acts:
            verdict = decide(actor, permission, document)
            assert verdict.visible or not verdict.allowed
            if verdict.allowed and actor.scopes is None:
                assert decide(actor, Permission.DOCUMENT_READ, document).allowed


@settings(deadline=None)
@given(store=stores())
def test_docflow_itself_sees_everything(store: list[DocumentFacts]) -> None:
    assert selected(SERVICE, store, mini) == {document.id for document in store}


def test_the_documents_table_has_the_columns_that_the_condition_needs() -> None:
    leader = Actor("p", "person", offices=(Office("u", Role.LEADER.value),))
    condition = str(readable(leader, documents))
    for column in ("unit_id", "author_id", "assignee_id", "classification"):
        assert f"documents.{column}" in condition
