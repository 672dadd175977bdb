"""The Dockerfile, read as data, and its builder stage played in a folder instead of a container.

What this cannot play is what only an engine can do: the base image, the user, the mounts. Those are
read and judged instead (test_dockerfile.py).
"""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ABSOLUTE = re.compile(r"(?<![\w./])/(?=(?:opt|dist|src|var)\b)")


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str


@dataclass
class Stage:
    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [item.rest for item in self.instructions if item.word == word]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [shlex.split(rest) for rest in self.all("ENV")]
        return dict(pair.split("=", 1) for found in pairs for pair in found)


def instructions() -> list[Instruction]:
    """Read the Dockerfile: comments dropped, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        Instruction(*line.split(None, 1)) for line in map(str.strip, joined.splitlines()) if line
    ]


def stages() -> list[Stage]:
    """Return the stages, with ARGs given before the first one filled in."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for item in instructions():
        if item.word == "ARG" and not found:
            name, value = item.rest.split("=", 1)
            arguments[name] = value
        elif item.word == "FROM":
            base, _, name = item.rest.partition(" AS ")
            for argument, value in arguments.items():
                base = base.replace(f"${{{argument}}}", value)
            found.append(Stage(base, name))
        else:
            found[-1].instructions.append(item)
    return found


def play_builder(root: Path) -> None:
    """Run the builder's steps with `root` in place of `/`.

    Raises:
        subprocess.CalledProcessError: if a step fails; its output went to this process's own.
    """
    builder = stages()[0]
    folder = root
    environment = {**os.environ, **builder.environment}
    environment.pop("UV_NO_CACHE", None)  # here a cache is welcome: nothing of it is shipped
    environment.pop("PIP_NO_CACHE_DIR", None)
    for item in builder.instructions:
        match item.word:
            case "WORKDIR":
                folder = Path(below(root, item.rest))
                folder.mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = item.rest.split()
                for source in sources:
                    _copy(ROOT / source, folder / target)
            case "RUN":
                subprocess.run(
                    ["sh", "-c", below(root, item.rest)], cwd=folder, env=environment, check=True
                )
            case _:
                continue


def below(root: Path, text: str) -> str:
    """Put `root` before the absolute paths that the Dockerfile makes."""
    return _ABSOLUTE.sub(f"{root}/", text)


def _copy(source: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "_bundled")
    if source.is_dir():
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
