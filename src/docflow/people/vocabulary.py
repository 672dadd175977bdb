"""The closed vocabularies of `people`: roles, permissions and the scopes of API keys.

Grammar: a role is one word; a permission is `thing:act`; a scope is `things:act`. Each list is
alphabetised. What a permission needs is said once, in `access.py`.
"""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What an office in a unit can be."""

    ADMINISTRATOR = "administrator"  # keeps the directory and the keys; reads no document
    AUDITOR = "auditor"  # reads the whole history and every document; changes nothing
    CLERK = "clerk"  # văn thư: registers, routes, seals, releases
    HEAD = "head"  # trưởng phòng: heads a unit
    INTEGRATOR = "integrator"  # the unit in whose name an integrating system posts
    LEADER = "leader"  # lãnh đạo: routes and signs
    SPECIALIST = "specialist"  # chuyên viên: drafts and handles


WORKFLOW_ROLES: Final = frozenset({Role.CLERK, Role.HEAD, Role.LEADER, Role.SPECIALIST})
"""The offices that a workflow's `by` may name."""

EXACT_ROLES: Final = frozenset({Role.INTEGRATOR, Role.SPECIALIST})
"""Offices that reach their own unit only; all others reach the units below it too."""

RECEIVING_ROLES: Final = frozenset({Role.CLERK, Role.HEAD})
"""Who opens the inbox of an internal recipient that is a unit: its own clerks and heads."""


class Permission(StrEnum):
    """What an actor may be allowed to do."""

    ACCOUNT_MANAGE = "account:manage"
    BREAK_GLASS_ASK = "break-glass:ask"  # for a document that one has no reason to know
    BREAK_GLASS_DECIDE = "break-glass:decide"
    CERTIFICATE_MANAGE = "certificate:manage"  # enrol and revoke those of people
    CERTIFICATE_PROVE = "certificate:prove"  # one's own
    CERTIFICATE_TRACE = "certificate:trace"  # what was signed with one
    CLEARANCE_MANAGE = "clearance:manage"
    CLEARANCE_READ = "clearance:read"  # those of others; everyone reads their own
    CUSTODY_READ = "custody:read"  # every request that two people decide, whoever asked
    DIRECTORY_MANAGE = "directory:manage"
    DIRECTORY_READ = "directory:read"
    DOCUMENT_CLASSIFY = "document:classify"  # raise it; lowering takes two people
    DOCUMENT_CREATE = "document:create"
    DOCUMENT_EDIT = "document:edit"  # fields and files, while the workflow's state lets anyone
    DOCUMENT_FIRE = "document:fire"  # ask for a transition; its `by` decides further
    DOCUMENT_LOWER = "document:lower"  # ask for a lower classification
    DOCUMENT_OPEN = "document:open"  # the bytes of its files
    DOCUMENT_READ = "document:read"
    DOCUMENT_RECOVER = "document:recover"  # ask for the copy under the organisation's recovery key
    HISTORY_READ = "history:read"  # every entry of the office
    HISTORY_READ_DOCUMENT = "history:read-document"
    INBOX_ACKNOWLEDGE = "inbox:acknowledge"
    INBOX_READ = "inbox:read"
    JOB_READ = "job:read"
    JOB_RETRY = "job:retry"
    KEY_MANAGE = "key:manage"
    LOWERING_DECIDE = "lowering:decide"
    NOTICE_READ = "notice:read"  # one's own
    RECIPIENT_ADD = "recipient:add"
    RECIPIENT_MANAGE = "recipient:manage"
    RECOVERY_DECIDE = "recovery:decide"
    REGISTER_READ = "register:read"  # its rows are cut further by `access.readable`
    REGISTER_VOID = "register:void"
    SIGNATURE_READ = "signature:read"  # how signatures and their archive time stamps stand
    SIGNING_BATCH = "signing:batch"
    STORAGE_READ = "storage:read"  # how the stored files are: digests and sizes, no content
    VERIFICATION_CREATE = "verification:create"


class Scope(StrEnum):
    """What an API key can be limited to; a key has at least one and never more than its owner."""

    DIRECTORY_READ = "directory:read"  # units, people and recipients
    DOCUMENTS_CREATE = "documents:create"  # post documents
    DOCUMENTS_EDIT = "documents:edit"  # change fields and files of a draft
    DOCUMENTS_FIRE = "documents:fire"  # ask for transitions
    DOCUMENTS_READ = "documents:read"  # list and read documents, open their files
    HISTORY_READ = "history:read"  # entries and proofs that the owner may see
    INBOX_ACKNOWLEDGE = "inbox:acknowledge"  # acknowledge deliveries
    INBOX_READ = "inbox:read"  # list and download deliveries
    JOBS_READ = "jobs:read"  # see background jobs
    RECIPIENTS_ADD = "recipients:add"  # add recipients to the directory
    REGISTERS_READ = "registers:read"  # read and print registers
    STORAGE_READ = "storage:read"  # see the integrity scan and its findings
    VERIFICATIONS_CREATE = "verifications:create"  # have a PDF verified
