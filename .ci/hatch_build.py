"""Put what docflow needs at run time beside its code into the wheel.

The wheel carries migrations/, workflows/ and the cut fonts under docflow/_bundled/. An editable
install needs none of it: it finds them at the top of the checkout (see docflow.kernel.resources).
"""

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDERS = ("migrations", "workflows")


class BundleHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the bundled folders to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the folders to include; cut the fonts into a temporary one."""
        if version == "editable":
            return
        root = Path(self.root)
        include: dict[str, str] = build_data["force_include"]
        for name in _FOLDERS:
            if not (root / name).is_dir():
                raise FileNotFoundError(f"the wheel must carry {name}/, and {root} has none")
            for path in sorted((root / name).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    include[str(path)] = f"docflow/_bundled/{path.relative_to(root).as_posix()}"
        self._scratch = Path(tempfile.mkdtemp(prefix="docflow-fonts-"))
        for path in _font_module(root).build_subset(self._scratch):
            include[str(path)] = f"docflow/_bundled/fonts/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the temporary folder."""
        scratch = getattr(self, "_scratch", None)
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _font_module(root: Path) -> ModuleType:
    """Load font.py by path: docflow and its dependencies are not installed while it is built."""
    path = root / "src" / "docflow" / "signing" / "font.py"
    spec = importlib.util.spec_from_file_location("docflow_font_recipe", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
