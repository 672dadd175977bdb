"""`docflow serve` whose history entries carry no chain, no leaf hash and no canonical leaf.

Only for the bench: what tamper evidence costs is measured against the same build without it.
"""

from docflow.cli import main
from docflow.db import ledger
from docflow.transparency.entry import Entry, EntryFields

_HASH = "0" * 64


def _bare_entry(fields: EntryFields) -> Entry:
    return Entry(fields, b"{}", _HASH)


if __name__ == "__main__":
    ledger.make_entry = _bare_entry
    main()
