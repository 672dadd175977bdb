"""Whether a PDF is PDF/A, in the words of two programs that no one here wrote.

- Apache PDFBox Preflight judges PDF/A-1b. Its packages on Debian: libpdfbox2-java, libjaxb-api-java,
  libactivation-java, default-jre-headless.
- pikepdf's own validator judges PDF/A-1b, 2b and 3b by veraPDF's rules. It approves only what it knows,
  and says of every finding whether a rule is broken or it knows no better.
"""

import subprocess
from pathlib import Path

from pikepdf import pdfa

_JARS = (
    "preflight", "pdfbox2", "xmpbox", "fontbox2", "commons-logging", "jaxb-api", "javax.activation",
)  # fmt: skip
_CLASS_PATH = ":".join(f"/usr/share/java/{name}.jar" for name in _JARS)
OTHER_PART = "7.11.2 : Error on MetaData, part must be 1"
"""What Preflight says of a file that names another part than PDF/A-1, and is one in all else."""
TAGGED = "pdfaid:conformance is 'A', expected 'B'"
"""What pikepdf says of a file that claims more than it judges."""
# What pikepdf does not look into; Preflight does, but for the checksum that LibreOffice writes.
_NOT_LOOKED_INTO = (
    "/AcroForm", "/Annots", "/DSS", "/DocChecksum", "/Extensions", "/OpenAction", "/Perms", "/Trans",
    "no OutputIntents; device colour",
)  # fmt: skip


def violations(path: Path, flavour: str) -> list[str]:
    """Return the rules of PDF/A that a file breaks as pikepdf sees it.

    Raises:
        AssertionError: if there is more that it knows nothing of than forms, signatures and the like.
    """
    found = pdfa.validate_written(path, flavour).findings
    unknown = [f"{one.where}: {one.message}" for one in found if one.kind != "violation"]
    unsaid = [one for one in unknown if not any(known in one for known in _NOT_LOOKED_INTO)]
    assert unsaid == []
    return [one.message for one in found if one.kind == "violation"]


def approved(path: Path, flavour: str) -> bool:
    """Tell whether pikepdf approves a file whole, which it does of none with a form."""
    return pdfa.validate_written(path, flavour).passed


def complaints(path: Path) -> list[str]:
    """Return what Preflight finds wrong in a file that is to be PDF/A-1b, nothing for a valid one."""
    command = [
        "java", "-Xmx512m", "-cp", _CLASS_PATH, "org.apache.pdfbox.preflight.Validator_A1b", str(path),
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    first, *rest = told.stdout.splitlines() or [""]
    if told.returncode == 0 and first == f"The file {path.name} is a valid PDF/A-1b file":
        return []
    assert "is not a valid PDF/A-1b file" in first, (told.stdout, told.stderr)
    return [line for line in rest if line.strip()]
