"""What is not finished says so at its field, in the page's language, and what to do."""

import pytest
from studio.waiting import expect
from studio.words import Words

pytestmark = pytest.mark.studio
NAMES = {
    "en": ("Image prompts", "Image prompts (IP-Adapter) 1, Picture: there is none yet."),
    "zh": ("图像提示", "图像提示（IP-Adapter） 1 的图片：还没有选择。"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_image_prompt_without_its_picture(visit, axe, language: str) -> None:
    say, forms = Words("create", language), Words("forms", language)
    section, sentence = NAMES[language]
    page = visit("create", language=language)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.locator("form.draft option[value=euler_ancestral]").first.wait_for(state="attached")
    page.locator("summary", has_text=section).click()
    page.get_by_role("button", name=say("image-prompts.add"), exact=True).click()
    page.locator("form.draft button.main").click()
    missing = page.get_by_text(forms("picture.missing"), exact=True)
    expect(missing).to_be_in_viewport()
    expect(page.locator(".trouble")).to_contain_text(sentence)
    assert axe(page) == []
    assert not any(url.endswith("/api/v1/jobs") for url in asked)
    page.locator(".entry .head input").uncheck()  # put aside, it is not used
    expect(missing).to_have_count(0)
