"""Signatures: stamping a page, PAdES, sealing, validation, signer identities.

Rules:
- pyHanko is imported only in this room.
- Nothing here reads a clock or a setting: callers pass `now`, paths and limits.
- Only `outside` opens network connections: to the time-stamp authorities and responders that the operator
  allows, when a signature above B-B is made. What validation needs lies in the file or is given.
- Only `strict.validate_release` makes a `SignedFile`, and delivery accepts nothing else.

Modules: `font` and `stamp` (what is drawn on the page before signing), `sniff` and `inspection`
(what an upload is, and whether it may come in), `identity` and `devpki` (who signs), `pades`
(signing and sealing), `embedding`, `longterm`, `outside` and `archive` (levels above B-B), `ades` (which
level a signature reaches), `report`, `validate`, `strict` and `isolated` (what a signature is worth).
"""
