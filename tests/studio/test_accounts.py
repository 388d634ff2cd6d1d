"""Accounts and tokens in the studio, and terms of use that have to be accepted."""

import json
import time
import urllib.error
import urllib.request

import pytest
from studio.test_create import shown
from studio.test_sign_in import WORDS as SIGN_IN
from studio.test_sign_in import sign_in, signed_in
from studio.waiting import PATIENCE, expect
from studio.words import Words

pytestmark = pytest.mark.studio

INERT = "<img src=x onerror=\"document.title='broken'\">"
WORDS = {
    "en": {"add": "Another user", "name": "Name", "password": "Password", "pictures": "Pictures a day",
           "save": "Save", "change": "Change dan-en", "admin": "Administrator", "limit": "20 pictures a day",
           "remove": "Remove dan-en", "sure": "Remove this account", "what": "What for", "make": "Make a token",
           "revoke": "Revoke a script in English", "terms": "Terms of use", "later": "Not now",
           "accept": "I accept them", "prompt": "Prompt"},
    "zh": {"add": "新建用户", "name": "用户名", "password": "密码", "pictures": "每天图片数", "save": "保存",
           "change": "修改 dan-zh", "admin": "管理员", "limit": "每天 20 张", "remove": "删除 dan-zh",
           "sure": "删除这个账户", "what": "用途", "make": "生成令牌", "revoke": "撤销 一个脚本", "terms": "使用条款",
           "later": "以后再说", "accept": "我接受", "prompt": "提示词"},
}  # fmt: skip


def enter(visit, guarded, language: str, name: str, password: str, area: str = "create"):
    page = visit(area, at=guarded.address, language=language)
    signed_in(page, SIGN_IN[language], name, password)
    page.locator("main h1").wait_for()
    return page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_administrator_adds_changes_and_removes_a_user(visit, axe, guarded, language: str) -> None:
    words, name = WORDS[language], f"dan-{language}"
    page = enter(visit, guarded, language, "ann", "correct horse", "accounts")
    page.get_by_role("button", name=words["add"], exact=True).click()
    page.get_by_label(words["name"], exact=True).fill("Not Allowed")
    page.get_by_label(words["password"], exact=True).fill("long enough")
    page.get_by_role("button", name=words["save"], exact=True).click()
    refused = {"en": "can't be a user's name", "zh": "不能作用户名"}[language]
    expect(page.get_by_role("alert")).to_contain_text(refused)
    page.get_by_label(words["name"], exact=True).fill(name)
    page.get_by_label(words["pictures"], exact=True).fill("20")
    assert axe(page) == []
    page.get_by_role("button", name=words["save"], exact=True).click()
    row = page.get_by_role("listitem").filter(has=page.get_by_text(name, exact=True))
    expect(row).to_contain_text(words["limit"])
    row.get_by_role("button", name=words["change"], exact=True).click()
    page.get_by_role("dialog").get_by_text(words["admin"], exact=True).click()
    page.get_by_label(words["pictures"], exact=True).fill("")
    page.get_by_role("button", name=words["save"], exact=True).click()
    expect(row).to_contain_text(words["admin"])
    expect(row).not_to_contain_text(words["limit"])
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert axe(page) == []
    row.get_by_role("button", name=words["remove"], exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=words["sure"], exact=True).click()
    expect(row).to_have_count(0)


def answer(guarded, token: str) -> int:
    request = urllib.request.Request(guarded.address + "/api/v1/session", headers={"Authorization": f"Bearer {token}"})
    try:
        return int(urllib.request.urlopen(request, timeout=PATIENCE).status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_user_makes_and_revokes_a_token_and_sees_no_users(visit, axe, guarded, language: str) -> None:
    words = WORDS[language]
    page = enter(visit, guarded, language, "bob", "battery staple", "accounts")
    page.get_by_label(words["what"], exact=True).fill({"en": "a script in English", "zh": "一个脚本"}[language])
    page.get_by_role("button", name=words["make"], exact=True).click()
    token = page.locator("code").inner_text()
    revoke = page.get_by_role("button", name=words["revoke"], exact=True)
    expect(revoke).to_have_count(1)
    assert answer(guarded, token) == 200
    assert axe(page) == []
    expect(page.get_by_role("button", name=words["add"], exact=True)).to_have_count(0)
    revoke.click()
    expect(page.locator("code")).to_have_count(0)
    assert answer(guarded, token) == 401


def put_terms(guarded, text: str) -> None:
    from studio.conftest import TOKEN

    values = {"terms": text, "accept_terms": int(bool(text))}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(
        guarded.address + "/api/v1/settings", json.dumps({"values": values}).encode(), headers, method="PUT"
    )
    urllib.request.urlopen(request, timeout=PATIENCE).read()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_terms_of_use_are_accepted_before_anything_is_made(visit, axe, guarded, language: str) -> None:
    words, text = WORDS[language], f"Be kind. 善待他人。 {INERT} {time.time_ns()}"
    put_terms(guarded, text)
    try:
        page = enter(visit, guarded, language, "bob", "battery staple")
        dialog = page.get_by_role("dialog", name=words["terms"])
        expect(dialog).to_contain_text(text)
        assert axe(page) == []
        dialog.get_by_role("button", name=words["later"]).click()
        expect(dialog).to_have_count(0)
        prompt = page.get_by_label(words["prompt"], exact=True)
        prompt.fill(f"a kind face {language}")
        page.get_by_role("spinbutton", name=SIGN_IN[language]["steps"], exact=True).fill("1")
        expect(page.get_by_role("dialog")).to_have_count(0)
        prompt.press("Control+Enter")
        dialog.get_by_role("button", name=words["accept"]).click()
        expect(dialog).to_have_count(0)
        prompt.press("Control+Enter")
        shown(page, f"a kind face {language}")
        page.reload()
        prompt.wait_for()
        expect(dialog).to_have_count(0)
        assert page.title() != "broken"
    finally:
        put_terms(guarded, "")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_first_account_is_an_administrators_and_then_everybody_signs_in(visit, tmp_path, language: str) -> None:
    from tools.browser import studio

    words, say = WORDS[language], Words("accounts", language)
    with studio(tmp_path) as server:
        page = visit("accounts", at=server.address, language=language)
        page.get_by_text(say("none"), exact=True).wait_for()
        page.get_by_role("button", name=say("first"), exact=True).click()
        page.get_by_label(words["name"], exact=True).fill("eve")
        page.get_by_label(words["password"], exact=True).fill("a long password")
        page.get_by_role("button", name=words["save"], exact=True).click()
        page.locator(".sign-in").wait_for()
        sign_in(page, SIGN_IN[language], "eve", "a long password")
        page.get_by_role("listitem").filter(has_text="eve").wait_for()
