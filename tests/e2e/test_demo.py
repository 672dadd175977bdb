"""`docflow demo` as a stranger runs it: it ends well, and what it leaves is what it says."""

import subprocess
import sys
from pathlib import Path


def test_the_demo_plays_to_its_end_and_leaves_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    done = subprocess.run(
        [sys.executable, "-m", "docflow", "demo", "--data-dir", str(folder)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for name in ("released.pdf", "confidential.pdf"):
        told = subprocess.run(
            ["pdfsig", "-nocert", folder / "demo" / name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert told.stdout.count("Signature is Valid") == 2
        assert "Total document signed" in told.stdout
    envelope = (folder / "demo" / "confidential.pdf.p7m").read_bytes()
    assert b"%PDF" not in envelope
    proof, key = folder / "demo" / "release.tlog-proof", folder / "demo" / "log.vkey"
    command = [sys.executable, "-m", "docflow", "verify", str(proof), "--key-file", str(key)]
    subprocess.run(command, capture_output=True, check=True)
