"""Floor 5: register, attach, fire a transition, what may I do, find.

`incoming` and `outgoing` are not modules: they differ in YAML, in guards and in one column. Every
function takes a `Desk` (what the room works with) and an `Actor`.
"""
