"""Time-stamp authorities, OCSP responders and CRLs: the only part of `signing` that uses the network.

Rules:
- Every request is bounded in time, size and redirects, and reaches only addresses that it may.
- Whatever answers is not believed: what it says is checked before it is used.
"""
