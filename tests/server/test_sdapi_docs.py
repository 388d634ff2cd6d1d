"""Routes, scripts and settings of AUTOMATIC1111's interface are documented."""

from pathlib import Path

from fromnoise.server.app import with_routes
from fromnoise.server.sdapi import always_on, options, scripts

PAGE = (Path(__file__).parents[2] / "docs" / "http-sdapi.md").read_text("utf-8")
PREFIXES = ("/sdapi", "/internal", "/controlnet")


def rows() -> list[str]:
    """The table of routes as the code has it."""
    found = []
    for path, methods in with_routes().openapi()["paths"].items():
        if path.startswith(PREFIXES):
            for method, told in methods.items():
                sentence = " ".join(str(told.get("description") or told["summary"]).split("\n\n")[0].split())
                found.append(f"| {method.upper()} | `{path}` | {sentence} |")
    return sorted(found, key=lambda row: (row.split("`")[1], row))


def test_the_table_of_routes_is_that_of_the_code() -> None:
    written = [line for line in PAGE.splitlines() if line.startswith(("| GET | `/", "| POST | `/"))]
    assert written == rows(), "docs/http-sdapi.md should have:\n" + "\n".join(rows())


def test_scripts_are_documented() -> None:
    for name in (*scripts.PLANS, *scripts.CHANGES, *always_on.OFFERED):
        assert f"`{name}`" in PAGE, name


def test_settings_that_are_refused_are_documented() -> None:
    for name in options.WITHOUT_COUNTERPART:
        assert f"`{name}`" in PAGE, name
