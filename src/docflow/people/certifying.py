"""What the settings and the office file say of recipients' certificates, put to work.

Rules: a wrong file stops the start with one sentence that names it. Throw-away certificates are made in
development only, for the sample office, and announce themselves.
"""

from datetime import datetime

from docflow.db import Database
from docflow.kernel.errors import ConfigurationError
from docflow.people.certificates import RecipientCertificates
from docflow.people.openers import Openers
from docflow.people.seed_models import OfficeSeed
from docflow.settings import Settings
from docflow.signing.certificates import CertificatePolicy, read_certificate_file
from docflow.signing.devrecipients import ensure_recipients
from docflow.signing.envelope import Suitability, unsuitable
from docflow.signing.trust import TrustRoots


def certificate_policy(settings: Settings) -> CertificatePolicy:
    """Return what the settings accept of recipients' certificates.

    Raises:
        ConfigurationError: if the roots cannot be read.
    """
    path = settings.recipient_roots_file
    roots = TrustRoots.from_files([path]) if path is not None else None
    return CertificatePolicy(Suitability(settings.recipient_rsa_2048_reason), roots)


def openers_of(settings: Settings, now: datetime) -> Openers:
    """Return whom a release can be encrypted to.

    Raises:
        ConfigurationError: if roots or recovery certificate cannot be read, or the latter not used.
    """
    policy, path = certificate_policy(settings), settings.recovery_certificate_file
    if path is None:
        return Openers(policy)
    found = read_certificate_file(path, "the recovery (DOCFLOW_RECOVERY_CERTIFICATE_FILE)")
    if faults := unsuitable(found.certificate, now, policy.suitability):
        raise ConfigurationError(
            f"The recovery certificate {path} (serial {found.serial}) {', and '.join(faults)}."
        )
    return Openers(policy, found)


def certify(settings: Settings, database: Database, office: OfficeSeed) -> int:
    """Record the certificates of recipients that the office file names; return how many are new.

    In development, the external recipients of the sample office that have none get throw-away ones,
    with their private keys below the data folder, unless the settings name roots for recipients.

    Raises:
        ConfigurationError: naming a recipient whose certificate cannot be read or used.
    """
    certificates = RecipientCertificates(database, certificate_policy(settings))
    if settings.office_file is not None:
        return certificates.record_from_office(office, settings.office_file.parent)
    names = {one.code: one.name.vi for one in office.recipients if one.external}
    lacking = certificates.without(names)
    if not lacking or settings.production or settings.recipient_roots_file is not None:
        return 0
    folder = settings.data_dir / "pki" / "recipients"
    made = ensure_recipients(folder, names, now=database.clock.now())
    return certificates.record({code: made[code].certificate for code in lacking})
