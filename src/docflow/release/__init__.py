"""Floor 6: stage, sign, seal, validate, deliver.

Two durable jobs: `sign` puts number, date and code on the page and the personal signature on the
file; `release` puts the seal on, validates, and delivers. Each moves its document by
`documents.fire.complete`, as docflow itself, with the signed files as evidence.
"""
