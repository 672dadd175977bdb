"""Ground floor: errors, clock, identifiers, canonical JSON, actors, bundled resources.

Nothing here does input or output beyond reading the package's own bundled files.
"""
