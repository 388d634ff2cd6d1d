"""The wheel's build: the page is built first and comes with it. An editable installation leaves that to launch.py."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    """Named in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page and add it to the wheel; it is ignored by git, and would be left out."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "studio"))
        import build

        if build.is_stale():
            build.build()
        build_data["force_include"][str(build.TARGET)] = "fromnoise/server/static"
