"""The encrypted column type with the texts that sealing makes, on a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from docflow.db import Database
from docflow.db.sealed import EncryptedText
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing import SealedText, TextPlace, seal_text

KEY = bytes(range(32))
PLACE = TextPlace("notes", "subject", "1")
TEXT = "V/v kỷ luật cán bộ"

NOTES = sa.Table(
    "notes",
    sa.MetaData(),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("subject", EncryptedText(SealedText)),
)


@pytest.fixture
def engine(tmp_path: Path, clock: ManualClock) -> Iterator[sa.Engine]:
    """The engine as docflow makes it: its errors repeat no values."""
    database = Database(f"sqlite:///{tmp_path / 'notes.sqlite3'}", clock)
    with database.engine.begin() as connection:
        NOTES.metadata.create_all(connection)
    yield database.engine
    database.dispose()


def test_what_was_sealed_goes_in_and_comes_out_sealed(engine: sa.Engine) -> None:
    sealed = seal_text(KEY, TEXT, PLACE)
    with engine.begin() as connection:
        connection.execute(sa.insert(NOTES), {"id": "1", "subject": sealed})
        connection.execute(sa.insert(NOTES), {"id": "2", "subject": None})
        stored = connection.exec_driver_sql("SELECT subject FROM notes WHERE id = '1'").scalar_one()
        read = connection.execute(sa.select(NOTES.c.subject).order_by(NOTES.c.id)).scalars().all()
    assert stored == sealed.token
    assert TEXT not in stored
    assert (str(read), read[1]) == ("[***, None]", None)
    assert isinstance(read[0], SealedText)
    assert read[0].open(KEY, PLACE) == TEXT


@pytest.mark.parametrize("value", [TEXT, b"x", 7, ["a"]])
def test_plaintext_does_not_go_in_and_is_not_repeated(engine: sa.Engine, value: object) -> None:
    with engine.connect() as connection:
        with pytest.raises(sa.exc.StatementError, match="takes sealed text only") as refused:
            connection.execute(sa.insert(NOTES), {"id": "1", "subject": value})
        assert TEXT not in str(refused.value)
        with pytest.raises(sa.exc.StatementError):
            connection.execute(sa.select(NOTES.c.id).where(NOTES.c.subject == value))
        assert connection.execute(sa.select(sa.func.count()).select_from(NOTES)).scalar() == 0


def test_plaintext_in_the_table_does_not_come_out(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO notes VALUES ('1', 'plain')")
        with pytest.raises(IntegrityError) as refused:
            connection.execute(sa.select(NOTES.c.subject)).all()
    assert refused.value.code == "text-not-sealed"


def test_a_token_that_was_tampered_with_after_sealing_does_not_go_in(engine: sa.Engine) -> None:
    sealed = seal_text(KEY, TEXT, PLACE)
    sealed.token = TEXT
    with engine.connect() as connection:
        with pytest.raises((IntegrityError, sa.exc.StatementError)) as refused:
            connection.execute(sa.insert(NOTES), {"id": "1", "subject": sealed})
        assert TEXT not in str(refused.value)


def test_literals_are_tokens_too() -> None:
    sealed = seal_text(KEY, TEXT, PLACE)
    statement = sa.insert(NOTES).values(id="1", subject=sealed)
    written = str(statement.compile(compile_kwargs={"literal_binds": True}))
    assert f"'{sealed.token}'" in written
