"""Apache PDFBox Preflight: whether a PDF is PDF/A-1b, in the words of a program that no one here wrote.

Its packages on Debian: libpdfbox2-java, libjaxb-api-java, libactivation-java, default-jre-headless.
"""

import subprocess
from pathlib import Path

_JARS = (
    "preflight", "pdfbox2", "xmpbox", "fontbox2", "commons-logging", "jaxb-api", "javax.activation",
)  # fmt: skip
_CLASS_PATH = ":".join(f"/usr/share/java/{name}.jar" for name in _JARS)
OTHER_PART = "7.11"
"""Preflight's number for an identification that names another part than PDF/A-1."""


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
