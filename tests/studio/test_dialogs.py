"""The dialogs of every area are accessible, in both languages, light and dark."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from studio.waiting import expect, settled
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.studio

DIALOGS = [
    ("create", "library"), ("create", "styles"), ("create", "history"), ("create", "start.blank"),
    ("gallery", "import"), ("models", "get"), ("models", "merge"), ("models", "rewrite"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("zh", "light")])
@pytest.mark.parametrize(("area", "button"), DIALOGS)
def test_a_dialog_is_accessible(
    visit: "Callable[..., Page]", axe: "Callable[[Page], list[str]]", area: str, button: str, language: str, theme: str
) -> None:
    page = visit(area, language=language, theme=theme)
    name = re.compile(f"^{re.escape(Words(area, language)(button))}")
    page.get_by_role("button", name=name).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    settled(page)
    assert axe(page) == []
