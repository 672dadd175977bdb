"""People: units, offices, accounts, tokens, recipients, and the one access rule.

`access` answers what an actor may do, from the data in `rules`; `authenticate` makes an actor of a
token; `directory`, `recipients`, `accounts` and `keys` are the services; `seed` reads an office from
YAML and `seeding` inserts it.
"""
