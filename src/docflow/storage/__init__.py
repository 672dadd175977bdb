"""Floor 2: where bytes lie. One small protocol, one staging area, one local folder.

A body is received into staging (hashed on the way, never held in memory whole), checked there, and
then put into the store under a key derived from its SHA-256. Objects are written once.
"""

from docflow.storage.local import LocalStore
from docflow.storage.memory import MemoryStore
from docflow.storage.memory_file import MemoryFile
from docflow.storage.sealing.sealed import SealedFile
from docflow.storage.staging import StagedFile, Staging, StagingFile
from docflow.storage.store import ObjectStore, StoredObject, content_key

__all__ = [
    "LocalStore",
    "MemoryFile",
    "MemoryStore",
    "ObjectStore",
    "SealedFile",
    "StagedFile",
    "Staging",
    "StagingFile",
    "StoredObject",
    "content_key",
]
