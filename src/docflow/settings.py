"""Every setting of the service, read once from the environment (`DOCFLOW_…`) and frozen.

Defaults make an embedded instance: SQLite and a local folder below `DOCFLOW_DATA_DIR`, development
keys. Secrets are named by file, never given inline, so they cannot show in a process list.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from docflow.kernel.errors import ConfigurationError, FieldProblem
from docflow.kernel.hosts import hosts_of
from docflow.kernel.resources import bundled


class Settings(BaseSettings):
    """The settings of one instance."""

    model_config = SettingsConfigDict(env_prefix="DOCFLOW_", frozen=True, extra="forbid")

    environment: Literal["development", "production"] = Field(
        default="development",
        description="`production` refuses every insecure stand-in.",
    )
    data_dir: Path = Field(default=Path("var"), description="Where an embedded instance lives.")
    database_url: str = Field(
        default="", description="sqlite:///path or postgresql://…; default: below the data folder."
    )
    office_file: Path | None = Field(
        default=None, description="The office seed (YAML); default: the sample office."
    )
    workflows_dir: Path | None = Field(
        default=None, description="Folder of workflow files; default: the two that ship."
    )
    signers_file: Path | None = Field(
        default=None,
        description="YAML naming the PKCS#12 file of each signer and of the seal; "
        "required in production, a throw-away PKI otherwise.",
    )
    recipient_roots_file: Path | None = Field(
        default=None,
        description="PEM roots that recipients' certificates must lead to; without, whoever records "
        "one vouches for it.",
    )
    recipient_rsa_2048_reason: str = Field(
        default="",
        max_length=500,
        description="Why recipients' RSA keys of 2048 to 3071 bits are accepted here; empty: not.",
    )
    recovery_certificate_file: Path | None = Field(
        default=None,
        description="Escrow certificate that confidential documents are encrypted to as well.",
    )
    signing_services_file: Path | None = Field(
        default=None,
        description="YAML naming time-stamp authorities and what may be asked about revocation; "
        "without it, signatures are B-B.",
    )
    signature_level: Literal["B-B", "B-T", "B-LT", "B-LTA"] = Field(
        default="B-B", description="Level of signatures whose workflow names none."
    )
    signature_fallback_hours: float = Field(
        default=4.0,
        ge=0,
        le=24 * 30,
        description="Hours of waiting before a fallback that a workflow names is made.",
    )
    outside_patience_hours: float = Field(
        default=72.0,
        ge=0,
        le=24 * 30,
        description="Hours that a job waits for a service of others that is away, before it fails.",
    )
    archive_lead_days: float = Field(
        default=90.0,
        gt=0,
        le=3650,
        description="Days before its end that an archive time stamp is renewed.",
    )
    archive_seconds: float = Field(
        default=3600.0, gt=0, le=86_400, description="How often due archive time stamps are sought."
    )
    archive_retry_hours: float = Field(
        default=6.0,
        gt=0,
        le=24 * 7,
        description="Hours until a failed renewal of an archive time stamp is tried again; doubles each "
        "time, at most a week.",
    )
    log_key_file: Path | None = Field(
        default=None,
        description="Signing key of the history log (C2SP note signer); made on first start "
        "below the data folder in development, required in production.",
    )
    log_origin: str = Field(
        default="docflow.invalid/history",
        min_length=1,
        max_length=255,
        description="Name of the history log in its checkpoints.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8460, ge=0, le=65535, description="Port to listen on.")
    public_url: str = Field(
        default="http://127.0.0.1:8460",
        pattern=r"^https?://[^\s?#]+$",
        max_length=200,
        description="Where recipients reach the service; printed in the QR code.",
    )
    threads: int = Field(
        default=4, ge=1, le=64, description="Service threads; about twice the cores."
    )
    max_file_bytes: int = Field(
        default=100 * 2**20, ge=1024, description="Largest accepted file, in bytes."
    )
    max_annexes: int = Field(default=20, ge=0, le=100, description="Annexes of one document.")
    max_pages: int = Field(default=2000, ge=1, description="Pages of one PDF.")
    input_policy: Literal["refuse", "clean"] = Field(
        default="refuse",
        description="What happens to a PDF with scripts, forms, layers or files inside that is to go "
        "out: it is refused as far as it cannot be signed, or a clean one is made of it.",
    )
    libreoffice: str = Field(
        default="",
        description="LibreOffice's `soffice`, which makes PDF/A of office files; default: that on the "
        "PATH, if there is one.",
    )
    conversion_seconds: float = Field(
        default=120.0, gt=0, le=3600, description="Longest time for converting one office file."
    )
    conversion_mib: int = Field(
        default=2048,
        ge=512,
        le=65_536,
        description="Memory that converting one office file may take, in MiB of address space.",
    )
    conversion_unconfined: bool = Field(
        default=False,
        description="Lets production convert office files where bubblewrap cannot keep the host's files "
        "from LibreOffice.",
    )
    session_hours: float = Field(
        default=9.0, gt=0, le=24 * 7, description="Hours until a session expires."
    )
    login_attempts: int = Field(
        default=5, ge=1, le=100, description="Wrong passwords in a row before a lock-out."
    )
    lockout_minutes: float = Field(
        default=15.0, gt=0, le=24 * 60, description="Minutes a lock-out lasts."
    )
    clearance_days: int = Field(
        default=1826, ge=1, le=3653, description="Days ahead that a clearance may expire at most."
    )
    break_glass_hours: int = Field(
        default=24, ge=1, le=24 * 7, description="Longest break-glass access, in hours."
    )
    custody_hours: float = Field(
        default=72.0,
        gt=0,
        le=24 * 30,
        description="Hours within which a second person decides on a request.",
    )
    notice_days: float = Field(
        default=90.0, gt=0, le=3653, description="Days that a notice is kept after it was seen."
    )
    idempotency_hours: float = Field(
        default=48.0, ge=24, description="Hours an Idempotency-Key is remembered."
    )
    job_attempts: int = Field(default=5, ge=1, le=50, description="Tries of one job step.")
    job_backoff_seconds: float = Field(
        default=1.0, gt=0, le=600, description="Wait before the second try; doubles each time."
    )
    job_poll_seconds: float = Field(
        default=0.2, gt=0, le=60, description="How often the worker looks for jobs."
    )
    worker_concurrency: int = Field(default=2, ge=1, le=64, description="Jobs at the same time.")
    sequencer_seconds: float = Field(
        default=1.0, gt=0, le=600, description="How often new entries get their place in the log."
    )
    verification_seconds: float = Field(
        default=30.0, gt=0, le=600, description="Longest time for verifying one foreign file."
    )
    verification_changes: Literal["none", "signatures", "permitted"] = Field(
        default="signatures",
        description="What may follow a signature in a PDF: nothing, further signatures, or what the "
        "signer permits.",
    )
    verification_revocation: Literal["if-present", "required"] = Field(
        default="if-present",
        description="Whether a signature passes of which it is not known if its certificate was revoked.",
    )
    verification_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=200,
        description="Hosts (`host` or `host:port`) that may be asked whether a certificate of others was "
        'revoked (JSON, as ["ocsp.ca.example"]); none: nobody is asked.',
    )
    trust_dir: Path | None = Field(
        default=None,
        description="Folder of further trust anchors: certificates (.pem, .crt, .cer, .der) and "
        "trusted lists (.xml, ETSI TS 119 612).",
    )
    trust_list_signers: Path | None = Field(
        default=None,
        description="PEM file with the certificates of scheme operators; a trusted list must be signed "
        "by one of them.",
    )
    trust_lists_unsigned: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="What becomes of a trusted list that none of these operators signed; `accept` means "
        "that whoever puts it there vouches for it.",
    )
    algorithms_file: Path | None = Field(
        default=None,
        description="Dated policy on algorithms (YAML); default: the one that ships.",
    )
    algorithm_margin_days: float = Field(
        default=30.0,
        ge=0,
        le=3650,
        description="Days for which an algorithm must still prove something when a signature is made "
        "with it.",
    )
    signer_enrolment: Literal["auto", "required", "optional"] = Field(
        default="auto",
        description="Whether a personal signature needs a certificate that is enrolled for its person; "
        "`auto` requires it in production.",
    )
    step_up_minutes: float = Field(
        default=15.0,
        ge=0,
        le=24 * 60,
        description="Minutes for which a password given counts for personal signatures; 0: a whole "
        "session.",
    )
    signing_session_minutes: float = Field(
        default=15.0, gt=0, le=24 * 60, description="Minutes that a person's card has to sign."
    )
    certificate_signatures: int = Field(
        default=0,
        ge=0,
        description="Signatures that one person's certificate may make; 0: no limit.",
    )
    s3_endpoint: str = Field(
        default="", description="https://host[:port] of an S3 service; empty: a local folder."
    )
    s3_bucket: str = Field(default="", description="The bucket; it must exist already.")
    s3_prefix: str = Field(default="", description="Put before every key, to share a bucket.")
    s3_region: str = Field(
        default="us-east-1", description="The region that requests are signed for."
    )
    s3_virtual_host: bool = Field(
        default=False, description="Whether the bucket is part of the host name."
    )
    s3_ca_file: Path | None = Field(
        default=None, description="PEM certificates to trust instead of the system's."
    )
    s3_access_key: str = Field(
        default="", description="Access key; its secret is in DOCFLOW_S3_SECRET_KEY_FILE."
    )
    s3_secret_key_file: Path | None = Field(
        default=None, description="File that holds the secret of the access key, and nothing else."
    )
    s3_credentials_file: Path | None = Field(
        default=None, description="AWS-style credentials file, instead of key and secret file."
    )
    s3_profile: str = Field(default="default", description="The profile in that file.")
    s3_encryption: Literal["off", "s3", "kms"] = Field(
        default="off", description="What the service is asked to encrypt objects with."
    )
    s3_kms_key: str = Field(default="", description="The key for `kms`.")
    s3_object_lock: Literal["off", "governance", "compliance"] = Field(
        default="off",
        description="How files are locked whose workflow has them kept (`retain`); the bucket needs "
        "Object Lock.",
    )
    s3_timeout_seconds: float = Field(
        default=30.0, gt=0, le=600, description="Longest silence of the S3 service."
    )
    s3_attempts: int = Field(default=4, ge=1, le=20, description="Tries of one S3 request.")
    key_provider: Literal["", "file", "mounted", "pkcs11"] = Field(
        default="",
        description="Where the keys of confidential items are; default: files below the data folder "
        "in development, none in production.",
    )
    key_providers_before: Annotated[tuple[Literal["file", "mounted", "pkcs11"], ...], NoDecode] = (
        Field(
            default=(),
            description="Providers that records may still name until `docflow keys rotate` moved them "
            '(JSON, as ["file"]).',
        )
    )
    key_folder: Path | None = Field(
        default=None,
        description="Folder of the provider `file`; default: keys below the data folder.",
    )
    key_mounted_folder: Path | None = Field(
        default=None, description="Folder where the keys of the provider `mounted` are."
    )
    key_pkcs11_module: Path | None = Field(
        default=None, description="PKCS#11 library of the provider `pkcs11`."
    )
    key_pkcs11_token: str = Field(default="", description="Label of the token.")
    key_pkcs11_pin_file: Path | None = Field(
        default=None, description="File with the token's user PIN on its first line."
    )
    key_files_allowed: bool = Field(
        default=False,
        description="Lets production use the provider `file` all the same, whose keys lie beside "
        "what they seal.",
    )
    sweep_after_hours: float = Field(
        default=24.0,
        ge=1,
        le=24 * 366,
        description="Age from which a stored file that no row refers to is deleted, twice over.",
    )
    scan_every_hours: float = Field(
        default=168.0,
        ge=1,
        le=24 * 366,
        description="From the beginning of one integrity scan of all files to that of the next.",
    )
    scan_mib_per_second: float = Field(
        default=8.0, gt=0, le=10_000, description="How fast the integrity scan reads, in MiB/s."
    )
    metrics_token_file: Path | None = Field(
        default=None,
        description="File with the token that /metrics asks for; without it there are no metrics.",
    )
    embedded_worker: bool = Field(default=True, description="Whether `serve` also runs the jobs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least weight of what is logged."
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("verification_hosts", "key_providers_before", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Read a list here: what is no JSON is a wrong setting like any other, with a sentence."""
        try:
            found = json.loads(value or "[]") if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
            raise ValueError('it must be a JSON list of texts, as ["one", "two"]')
        return tuple(found)

    @field_validator("verification_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return hosts_of(value)

    @property
    def production(self) -> bool:
        """Tell whether insecure stand-ins must be refused."""
        return self.environment == "production"

    @property
    def resolved_database_url(self) -> str:
        """Return the database URL, with the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'docflow.sqlite3'}"

    @property
    def resolved_workflows_dir(self) -> Path:
        """Return the folder of workflow files."""
        return self.workflows_dir or bundled("workflows")

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the environment; `overrides` win (tests, the demo).

        Raises:
            ConfigurationError: naming each wrong variable and what it may be.
        """
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            problems = [
                FieldProblem(
                    "DOCFLOW_" + str(item["loc"][0]).upper(),
                    item["msg"].removeprefix("Value error, "),
                )
                for item in error.errors(include_input=False, include_url=False)
            ]
            listed = "; ".join(f"{p.pointer}: {p.message}" for p in problems)
            raise ConfigurationError(f"Wrong settings: {listed}", fields=problems) from None
