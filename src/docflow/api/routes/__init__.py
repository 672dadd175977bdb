"""The routes, one module per plural noun. Each parses, calls one service method, and answers."""

from fastapi import APIRouter

from docflow.api.routes import (
    accounts,
    api_keys,
    break_glass,
    catalogue,
    clearances,
    documents,
    files,
    history,
    inbox,
    jobs,
    notices,
    people,
    recipients,
    registers,
    sessions,
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
    break_glass.router,
    notices.router,
    verifications.router,
    jobs.router,
    workflows.router,
    catalogue.router,
    units.router,
    people.router,
    clearances.router,
    recipients.router,
    accounts.router,
    api_keys.router,
    system.router,
)
