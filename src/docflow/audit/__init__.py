"""Floor 6: history for those who ask, and proof for those who doubt.

The sequencer gives entries their place in the Merkle log and signs it; proofs and queries read it;
`verify` recomputes everything from the database. Nothing here changes an entry.
"""
