"""Text folding so that SQLite and PostgreSQL search alike (đ is a letter, not a marked d)."""

import unicodedata


def fold(text: str) -> str:
    """Return `text` in lower case with every mark dropped and đ as d; white space collapsed."""
    lowered = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    bare = "".join(char for char in lowered if not unicodedata.combining(char))
    return " ".join(bare.split())


def normalise(text: str) -> str:
    """Return `text` in Unicode NFC, as it is stored and shown."""
    return unicodedata.normalize("NFC", text)
