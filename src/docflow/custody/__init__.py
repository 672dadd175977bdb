"""Acts that take two people: break-glass access, lowering a classification, recovering a file.

One person asks, with a reason; a second one, who may, decides, with a reason; both within a time.
`requests` holds the request and the decision alike for all kinds, `breakglass`, `lowering` and
`recovery` what is particular to each, `listing` who is shown what, `words` the reasons, and `notices`
what people are told about documents of theirs.
"""
