"""What each permission needs, as data for `access.py`; every permission has exactly one rule.

A rule allows by a reason (the actor and the document are linked) or by an office (wherever it is
held), and names the scope an API key needs; without a scope, no key can do it.
"""

from dataclasses import dataclass
from typing import Final

from docflow.people.vocabulary import Permission, Role, Scope

_INSIDE: Final = frozenset({"person", "system"})
_ANYONE: Final = frozenset({"person", "system", "recipient"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What one permission needs.

    Attributes:
        act: completes "You may not …".
        satisfied_by: what would satisfy the rule.
        reasons: names of the reasons that allow it, linked to the document.
        offices: roles that allow it in whatever unit they are held.
        kinds: kinds of actor that `offices`, `everyone` and `receivers` are about.
        everyone: every actor of these kinds may.
        receivers: whoever receives for a recipient may.
        scope: what an API key needs as well; None keeps keys out.
    """

    act: str
    satisfied_by: str
    reasons: tuple[str, ...] = ()
    offices: tuple[Role, ...] = ()
    kinds: frozenset[str] = frozenset({"person"})
    everyone: bool = False
    receivers: bool = False
    scope: Scope | None = None


BREAK_GLASS: Final = "break-glass"
"""The reason that two people gave together, for one document and a time."""

_KNOWING: Final = (
    "author",
    "assignee",
    "clerk",
    "head",
    "leader",
    "auditor",
    "specialist",
    BREAK_GLASS,
)
_ACTING: Final = ("author", "assignee", "clerk", "head", "leader", "specialist")
_ASK_ADMINISTRATOR: Final = "Ask an administrator."
_KNOW: Final = "Be its author or assignee, or hold an office in its unit or above it."
_OWN_INBOX: Final = "Sign in as the recipient, or have an administrator link you to it."

RULES: Final[dict[Permission, Rule]] = {
    Permission.ACCOUNT_MANAGE: Rule(
        act="manage accounts",
        satisfied_by=_ASK_ADMINISTRATOR,
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.BREAK_GLASS_ASK: Rule(
        act="ask for break-glass access",
        satisfied_by="Sign in as a person of this office who is no administrator.",
        offices=(Role.AUDITOR, Role.CLERK, Role.HEAD, Role.LEADER, Role.SPECIALIST),
    ),
    Permission.BREAK_GLASS_DECIDE: Rule(
        act="decide on break-glass access to this document",
        satisfied_by="Hold the office of leader in its unit or above it, with the clearance.",
        reasons=("leader",),
    ),
    Permission.CLEARANCE_MANAGE: Rule(
        act="grant or revoke clearances",
        satisfied_by=_ASK_ADMINISTRATOR,
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.CLEARANCE_READ: Rule(
        act="see the clearances of others",
        satisfied_by="Hold the office of administrator or auditor.",
        offices=(Role.ADMINISTRATOR, Role.AUDITOR),
        scope=Scope.DIRECTORY_READ,
    ),
    Permission.CUSTODY_READ: Rule(
        act="see every request that two people decide",
        satisfied_by="Hold the office of auditor.",
        offices=(Role.AUDITOR,),
    ),
    Permission.CERTIFICATE_MANAGE: Rule(
        act="enrol or revoke certificates of people",
        satisfied_by=_ASK_ADMINISTRATOR,
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.CERTIFICATE_PROVE: Rule(
        act="prove or revoke a certificate",
        satisfied_by="Sign in as the person whose certificate it is.",
        everyone=True,
    ),
    Permission.CERTIFICATE_TRACE: Rule(
        act="see what was signed with a certificate",
        satisfied_by="Hold the office of auditor or administrator.",
        offices=(Role.AUDITOR, Role.ADMINISTRATOR),
        scope=Scope.HISTORY_READ,
    ),
    Permission.DIRECTORY_MANAGE: Rule(
        act="change units, people or offices",
        satisfied_by=_ASK_ADMINISTRATOR,
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.DIRECTORY_READ: Rule(
        act="read the directory",
        satisfied_by="Sign in as a person of this office.",
        kinds=_INSIDE,
        everyone=True,
        scope=Scope.DIRECTORY_READ,
    ),
    Permission.DOCUMENT_CLASSIFY: Rule(
        act="raise the classification of this document",
        satisfied_by="Be its author or assignee, or clerk, head, leader or specialist for its unit.",
        reasons=_ACTING,
        scope=Scope.DOCUMENTS_EDIT,
    ),
    Permission.DOCUMENT_CREATE: Rule(
        act="post a document in this unit",
        satisfied_by="Hold the office of specialist in this unit, or of clerk, head or leader in "
        "it or above it; a system posts in the unit that it is registered for.",
        reasons=("clerk", "head", "leader", "specialist", "integrator"),
        scope=Scope.DOCUMENTS_CREATE,
    ),
    Permission.DOCUMENT_EDIT: Rule(
        act="change the fields or files of this document",
        satisfied_by="Be its author, or a clerk of its unit or above it.",
        reasons=("author", "clerk"),
        scope=Scope.DOCUMENTS_EDIT,
    ),
    Permission.DOCUMENT_FIRE: Rule(
        act="ask for a transition of this document",
        satisfied_by="Be its author or assignee, or clerk, head, leader or specialist for its "
        "unit; auditors change nothing.",
        reasons=_ACTING,
        scope=Scope.DOCUMENTS_FIRE,
    ),
    Permission.DOCUMENT_LOWER: Rule(
        act="ask to lower the classification of this document",
        satisfied_by="Be its author, or hold the office of head or leader in its unit or above it.",
        reasons=("author", "head", "leader"),
    ),
    Permission.DOCUMENT_OPEN: Rule(
        act="open the files of this document",
        satisfied_by=_KNOW,
        reasons=_KNOWING,
        scope=Scope.DOCUMENTS_READ,
    ),
    Permission.DOCUMENT_READ: Rule(
        act="read documents",
        satisfied_by=_KNOW,
        reasons=_KNOWING,
        scope=Scope.DOCUMENTS_READ,
    ),
    Permission.DOCUMENT_RECOVER: Rule(
        act="ask for the recovery copy of this document",
        satisfied_by="Hold the office of clerk, head or leader in its unit or above it.",
        reasons=("clerk", "head", "leader"),
    ),
    Permission.HISTORY_READ: Rule(
        act="read the whole history",
        satisfied_by="Hold the office of auditor.",
        offices=(Role.AUDITOR,),
        scope=Scope.HISTORY_READ,
    ),
    Permission.HISTORY_READ_DOCUMENT: Rule(
        act="read the history of this document",
        satisfied_by=_KNOW,
        reasons=_KNOWING,
        scope=Scope.HISTORY_READ,
    ),
    Permission.INBOX_ACKNOWLEDGE: Rule(
        act="acknowledge deliveries",
        satisfied_by=_OWN_INBOX,
        kinds=_ANYONE,
        receivers=True,
        scope=Scope.INBOX_ACKNOWLEDGE,
    ),
    Permission.INBOX_READ: Rule(
        act="read an inbox",
        satisfied_by=_OWN_INBOX,
        kinds=_ANYONE,
        receivers=True,
        scope=Scope.INBOX_READ,
    ),
    Permission.JOB_READ: Rule(
        act="see background jobs",
        satisfied_by="Hold the office of administrator, or of clerk for the document's unit.",
        reasons=("clerk",),
        offices=(Role.ADMINISTRATOR,),
        scope=Scope.JOBS_READ,
    ),
    Permission.JOB_RETRY: Rule(
        act="retry this job",
        satisfied_by="Hold the office of administrator, or of clerk for the document's unit.",
        reasons=("clerk",),
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.KEY_MANAGE: Rule(
        act="create, list or revoke API keys",
        satisfied_by=_ASK_ADMINISTRATOR,
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.LOWERING_DECIDE: Rule(
        act="decide on lowering the classification of this document",
        satisfied_by="Hold the office of head or leader in its unit or above it, with the "
        "clearance, and be another person than asked.",
        reasons=("head", "leader"),
    ),
    Permission.NOTICE_READ: Rule(
        act="read notices",
        satisfied_by="Sign in as a person of this office.",
        everyone=True,
    ),
    Permission.RECIPIENT_ADD: Rule(
        act="add a recipient",
        satisfied_by="Hold the office of clerk or administrator.",
        offices=(Role.CLERK, Role.ADMINISTRATOR),
        scope=Scope.RECIPIENTS_ADD,
    ),
    Permission.RECIPIENT_MANAGE: Rule(
        act="change a recipient",
        satisfied_by=_ASK_ADMINISTRATOR,
        offices=(Role.ADMINISTRATOR,),
    ),
    Permission.RECOVERY_DECIDE: Rule(
        act="decide on releasing the recovery copy of this document",
        satisfied_by="Hold the office of leader in its unit or above it, with the clearance, and "
        "be another person than asked.",
        reasons=("leader",),
    ),
    Permission.REGISTER_READ: Rule(
        act="read the registers",
        satisfied_by="Hold the office of clerk, head, leader or auditor.",
        offices=(Role.CLERK, Role.HEAD, Role.LEADER, Role.AUDITOR),
        scope=Scope.REGISTERS_READ,
    ),
    Permission.REGISTER_VOID: Rule(
        act="void a number of the register",
        satisfied_by="Hold the office of clerk in the document's unit or above it.",
        reasons=("clerk",),
    ),
    Permission.STORAGE_READ: Rule(
        act="see how the stored files are",
        satisfied_by="Hold the office of administrator or auditor.",
        offices=(Role.ADMINISTRATOR, Role.AUDITOR),
        scope=Scope.STORAGE_READ,
    ),
    Permission.SIGNATURE_READ: Rule(
        act="see how signatures and their archive time stamps stand",
        satisfied_by="Hold the office of administrator, of auditor, or of clerk.",
        reasons=("auditor", "clerk"),
        offices=(Role.ADMINISTRATOR, Role.AUDITOR),
        scope=Scope.JOBS_READ,
    ),
    Permission.SIGNING_BATCH: Rule(
        act="sign many documents in one act",
        satisfied_by="Sign in as a person of this office.",
        everyone=True,
    ),
    Permission.VERIFICATION_CREATE: Rule(
        act="have a file verified",
        satisfied_by="Sign in.",
        kinds=_ANYONE,
        everyone=True,
        scope=Scope.VERIFICATIONS_CREATE,
    ),
}
