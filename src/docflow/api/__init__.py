"""The HTTP door: routes, schemas and what receives and answers requests."""
