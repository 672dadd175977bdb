"""The routes, one module per plural noun. Each parses, calls one service method, and answers."""

from fastapi import APIRouter

from docflow.api.routes import documents, files, history, inbox, jobs, system, verifications

ROUTERS: tuple[APIRouter, ...] = (
    documents.router,
    files.router,
    history.router,
    inbox.router,
    jobs.router,
    verifications.router,
    system.router,
)
