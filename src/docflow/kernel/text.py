"""Text folding so that SQLite and PostgreSQL search alike (đ is a letter, not a marked d).

And what strangers wrote, made fit to be shown.
"""

import unicodedata

_MOST_OF_FOUR_DIGITS = 0xFFFF


def fold(text: str) -> str:
    """Return `text` in lower case with every mark dropped and đ as d; white space collapsed."""
    lowered = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    bare = "".join(char for char in lowered if not unicodedata.combining(char))
    return " ".join(bare.split())


def normalise(text: str) -> str:
    """Return `text` in Unicode NFC, as it is stored and shown."""
    return unicodedata.normalize("NFC", text)


def shown(text: str, keep: str = "") -> str:
    """Return `text` with every character that is not seen, or that moves what is seen, as its escape.

    Control characters drive terminals and end lines, and direction controls (U+202E) turn text around: in
    what a stranger wrote they could fake a verdict. Letters and spaces of all scripts stay.

    Args:
        text: any text.
        keep: characters that stay although they are controls, as the line ends of our own sentences.
    """
    if text.isprintable():
        return text
    return "".join(char if _is_plain(char) or char in keep else _escape(char) for char in text)


def _is_plain(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    code = ord(char)
    if code > _MOST_OF_FOUR_DIGITS:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}"
