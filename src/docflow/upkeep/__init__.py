"""Floor 6: what keeps stored files whole: the sweeper, the integrity scan, retention.

Nothing here is on the way of a document. Recurring duties find objects that no row refers to, hash
what rows refer to, and lock what a workflow wants kept; what they find is history.
"""
