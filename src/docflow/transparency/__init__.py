"""Tamper-evident history, pure: entries, the Merkle log, and what proves them to a stranger.

Nothing here reads a clock, a file, a database or a network. The formats are public ones, so that
tools nobody here wrote can verify them: RFC 6962 hashing, and C2SP tlog-tiles, signed-note,
tlog-checkpoint and tlog-proof. docs/history-format.md describes them as docflow writes them.
"""
