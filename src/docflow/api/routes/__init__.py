"""The routes, one module per plural noun. Each parses, calls one service method, and answers."""

from fastapi import APIRouter

from docflow.api.routes import (
    accounts,
    api_keys,
    catalogue,
    documents,
    files,
    history,
    inbox,
    jobs,
    people,
    recipients,
    registers,
    sessions,
    signatures,
    system,
    units,
    verifications,
    workflows,
)

ROUTERS: tuple[APIRouter, ...] = (
    sessions.router,
    documents.router,
    files.router,
    inbox.router,
    registers.router,
    history.router,
    verifications.router,
    jobs.router,
    signatures.router,
    workflows.router,
    catalogue.router,
    units.router,
    people.router,
    recipients.router,
    accounts.router,
    api_keys.router,
    system.router,
)
