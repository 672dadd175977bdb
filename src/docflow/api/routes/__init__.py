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
    mandates,
    people,
    recipients,
    registers,
    sessions,
    signer_certificates,
    signing_batches,
    signing_sessions,
    system,
    units,
    verifications,
    workflows,
)

ROUTERS: tuple[APIRouter, ...] = (
    sessions.router,
    documents.router,
    files.router,
    signing_sessions.router,
    signing_batches.router,
    inbox.router,
    registers.router,
    history.router,
    verifications.router,
    jobs.router,
    workflows.router,
    catalogue.router,
    units.router,
    people.router,
    signer_certificates.router,
    mandates.router,
    recipients.router,
    accounts.router,
    api_keys.router,
    system.router,
)
