"""What holds in every area: it opens in both languages, is accessible, fits a phone, and its console is silent."""

import gzip
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.studio

FIRST_LOAD = 350_000  # bytes of compressed script
STATIC = Path("src/fromnoise/server/static")


def areas(root: Path) -> list[str]:
    return sorted(path.parent.name for path in (root / "studio/src/areas").glob("*/index.ts"))


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("area", areas(ROOT))
@pytest.mark.parametrize(
    ("language", "theme", "size"),
    [("en", "light", (1280, 800)), ("zh", "dark", (390, 844)), ("both", "light", (390, 844))],
)
def test_an_area_is_accessible_and_fits(
    visit, axe, area: str, language: str, theme: str, size: tuple[int, int]
) -> None:
    page = visit(area, language=language, theme=theme, size=size)
    page.wait_for_selector("main h1, main h2")
    page.wait_for_timeout(300)
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("html").get_attribute("lang") == ("zh-Hans" if language == "zh" else "en")


def test_the_language_and_the_theme_change_at_once_and_are_kept(visit) -> None:
    page = visit("create")
    page.get_by_role("button", name="Language and appearance").click()
    page.get_by_text("中文", exact=True).click()
    page.get_by_text("深色", exact=True).click()
    page.keyboard.press("Escape")
    assert page.get_by_role("link", name="创作").is_visible()
    page.reload()
    assert page.get_by_role("link", name="创作").is_visible()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_an_address_that_leads_nowhere_says_so(visit) -> None:
    assert visit("nonsense").get_by_text("There is nothing here").is_visible()


def test_the_first_load_is_small(visit, root: Path) -> None:
    page = visit("create")
    page.wait_for_selector("main h1")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    scripts = [name.rpartition("/")[2] for name in loaded if name.endswith(".js")]
    sizes = {name: len(gzip.compress(path.read_bytes())) for name in scripts
             for path in (root / STATIC).rglob(name)}  # fmt: skip
    assert sum(sizes.values()) < FIRST_LOAD, json.dumps(sizes)


def test_the_page_is_ready_soon(visit) -> None:
    """Time of the browser's own clock from the first byte of the page to its first content."""
    page = visit("create")
    page.wait_for_selector("main h1")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 1500
