"""Over http from another machine browsers have no clipboard and no randomUUID: everything works all the same."""

import re
from typing import TYPE_CHECKING

import pytest
from studio.test_sign_in import WORDS, signed_in
from studio.waiting import expect
from studio.words import Words, field

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_picture_is_made_and_its_recipe_copied(visit, guarded: "Studio", language: str) -> None:
    from tools.browser import ELSEWHERE

    say, told = Words("create", language), Words("gallery", language)
    page = visit("create", language=language, at=f"http://{ELSEWHERE}:{guarded.port}")
    signed_in(page, WORDS[language], "bob", "battery staple")
    assert page.evaluate("[isSecureContext, navigator.clipboard === undefined]") == [False, True]
    prompt = page.get_by_label(say("prompt"), exact=True)
    prompt.fill(f"far away {language}")
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill("1")
    page.get_by_role("button", name=say("generate"), exact=True).click()
    page.locator(f".stage img:not(.early)[alt*='far away {language}']").wait_for()
    page.get_by_role("button", name=say("deed.send"), exact=True).click()
    page.get_by_role("menuitem", name=say("deed.gallery"), exact=True).click()
    page.get_by_role("button", name=told("copy"), exact=True).click()
    page.get_by_text(told("copied"), exact=True).wait_for()
    tag = page.get_by_label(told("tag.add"), exact=True)
    tag.press("Control+v")
    expect(tag).to_have_value(re.compile(f"{field('steps', language)}: 1"))
