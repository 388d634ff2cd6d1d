"""docs/upscaling.md knows every upscaler and every option."""

import re
from pathlib import Path

from typer.main import get_command

from fromnoise.cli.app import whole
from fromnoise.upscalers import UPSCALERS
from fromnoise.upscalers.names import FILES

PAGE = Path(__file__).parents[2] / "docs" / "upscaling.md"


def test_every_name_of_automatic1111_is_documented() -> None:
    page = PAGE.read_text("utf-8")
    assert all(f"`{name}`" in page.lower() for name in FILES if name != "scunet")
    assert all(f"`{stems[0]}.pth`" in page for stems in FILES.values())
    assert f"`{next(name for name in UPSCALERS if name.startswith('R-'))}`" in page


def test_every_option_of_upscale_is_documented_and_exists() -> None:
    page = PAGE.read_text("utf-8")
    (table,) = re.findall(r"\n\| option (.*?)\n\n", page, re.DOTALL)
    parameters = get_command(whole()).commands["upscale"].params  # type: ignore[attr-defined]
    options = {option for p in parameters for option in (*p.opts, *p.secondary_opts) if option.startswith("--")}
    assert set(re.findall(r"`(--[a-z0-9-]+)", table)) == options - {"--help"}
    used = set(re.findall(r"^    fromnoise upscale .*$", page, re.MULTILINE))
    assert used
    assert {word for line in used for word in re.findall(r"--[a-z0-9-]+", line)} <= options
