"""Floor 3: what comes in another form is made into what can be signed: office files into PDF/A.

Two things happen to a stranger's office file. At the door it is looked into (`office`): what could
run, or could reach outside of the file, is refused. Later LibreOffice reads it in a process of its
own (`libreoffice`, `child`): no network, no settings of the service, bounded memory and time.
"""

from docflow.conversion.libreoffice import Converter, find_converter
from docflow.conversion.office import OFFICE_TYPES, require_convertible

__all__ = ["OFFICE_TYPES", "Converter", "find_converter", "require_convertible"]
