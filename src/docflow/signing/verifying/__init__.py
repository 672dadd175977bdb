"""Judging what others signed: PDF, CMS and containers, with the evidence of time that they carry.

Rules:
- Nothing is fetched, ever: URLs in strangers' certificates are not followed.
- A stranger wrote every byte: sizes and counts are bounded, XML has no entities, and whatever a parser
  throws is a verdict.
"""
