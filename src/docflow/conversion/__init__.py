"""Floor 3: what comes in another form is made into what can be signed: office files into PDF/A.

Two things happen to a stranger's office file. At the door it is looked into (`office`): what could
run, or could reach outside of the file, is refused. Later LibreOffice reads it in a process of its
own (`libreoffice`, `child`): no file system but programs and fonts (`sandbox`), no network, no settings
of the service, bounded memory and time.
"""

from docflow.conversion.libreoffice import Converter, find_converter
from docflow.conversion.office import CONFINED_TYPES, OFFICE_TYPES, require_convertible
from docflow.conversion.sandbox import Sandbox, find_sandbox

__all__ = [
    "CONFINED_TYPES",
    "OFFICE_TYPES",
    "Converter",
    "Sandbox",
    "find_converter",
    "find_sandbox",
    "require_convertible",
]
