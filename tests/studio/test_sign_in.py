"""Servers with accounts: the page asks who is there, says what was wrong, opens, and shows what this person may do."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
from PIL import Image
from studio.conftest import TOKEN
from studio.waiting import expect, until, width
from studio.words import Words

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

WORDS = {
    "en": {"name": "Name", "password": "Password", "in": "Sign in", "out": "Sign out", "prompt": "Prompt",
           "admin": "administrator", "user": "user", "settings": "Settings", "expired": "has ended",
           "steps": "Steps", "wrong": "wrong token"},
    "zh": {"name": "用户名", "password": "密码", "in": "登录", "out": "退出登录", "prompt": "提示词",
           "admin": "管理员", "user": "普通用户", "settings": "设置", "expired": "已过期", "steps": "步数",
           "wrong": "令牌错误"},
}  # fmt: skip


def sign_in(page, words: dict[str, str], name: str, password: str) -> None:
    page.get_by_label(words["name"], exact=True).fill(name)
    page.get_by_label(words["password"], exact=True).fill(password)
    page.get_by_label(words["password"], exact=True).press("Enter")


def signed_in(page, words: dict[str, str], name: str, password: str) -> None:
    """Until then keys and what is typed go nowhere: the form is before all else."""
    sign_in(page, words, name, password)
    expect(page.locator(".sign-in")).to_have_count(0)


@LANGUAGES
def test_signing_in_and_out(visit, axe, guarded, language: str) -> None:
    words = WORDS[language]
    page = visit("create", at=guarded.address, language=language)
    sign_in(page, words, "ann", "wrong horse")
    page.get_by_role("alert").get_by_text(words["wrong"]).wait_for()
    assert axe(page) == []
    expect(page.get_by_label(words["password"], exact=True)).to_have_value("")
    page.get_by_label(words["password"], exact=True).fill("correct horse")
    page.get_by_role("button", name=words["in"], exact=True).click()
    page.get_by_label(words["prompt"], exact=True).wait_for()
    page.reload()
    page.get_by_label(words["prompt"], exact=True).wait_for()
    expect(page.get_by_role("link", name=words["settings"], exact=True)).to_have_count(1)
    page.locator("nav .appearance").click()
    page.get_by_role("dialog").get_by_text(words["admin"], exact=True).wait_for()
    assert axe(page) == []
    page.get_by_role("button", name=words["out"], exact=True).click()
    page.get_by_role("button", name=words["in"], exact=True).wait_for()
    page.reload()
    page.get_by_role("button", name=words["in"], exact=True).wait_for()


@LANGUAGES
def test_a_user_is_not_offered_what_administrators_do(visit, guarded, language: str) -> None:
    words, create, queue = WORDS[language], Words("create", language), Words("queue", language)
    gallery, models, shell = (Words(area, language) for area in ("gallery", "models", "shell"))
    page = visit("create", at=guarded.address, language=language)
    signed_in(page, words, "bob", "battery staple")
    page.get_by_label(words["prompt"], exact=True).wait_for()
    for area in ("settings", "machine"):
        expect(page.get_by_role("link", name=Words(area, language)("title"), exact=True)).to_have_count(0)
    page.get_by_role("button", name=create("styles"), exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(create("styles.about").partition("{")[0].rstrip()).wait_for()
    expect(dialog.get_by_label(create("styles.keep"), exact=True)).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("link", name=queue("title"), exact=True).click()
    page.get_by_role("heading", name=queue("title"), exact=True).wait_for()
    expect(page.get_by_role("button", name=queue("hold"), exact=True)).to_have_count(0)
    page.get_by_role("link", name=gallery("title"), exact=True).click()
    page.get_by_role("heading", name=gallery("title"), exact=True).wait_for()
    expect(page.get_by_role("button", name=gallery("import"), exact=True)).to_have_count(0)
    page.get_by_role("link", name=models("title"), exact=True).click()
    page.get_by_role("button", name=models("refresh"), exact=True).click()
    page.get_by_role("status").get_by_text(shell("models.reloaded"), exact=True).wait_for()
    page.locator("nav .appearance").click()
    dialog.get_by_text(words["user"], exact=True).wait_for()


@LANGUAGES
def test_a_user_does_what_every_area_is_for(visit, guarded, tmp_path: Path, language: str) -> None:
    """In all that are offered to one who is no administrator, and nothing there is refused."""
    prompt = f"bob's own {language}"
    page = visit("create", at=guarded.address, language=language)
    signed_in(page, WORDS[language], "bob", "battery staple")
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    areas = page.locator("nav a.link").evaluate_all("all => all.map(one => one.getAttribute('href').slice(2))")
    deeds = {"create": draws, "how": watches, "gallery": looks, "queue": waits, "models": reads, "grids": plots,
             "extras": enlarges, "accounts": titled, "extensions": titled}  # fmt: skip
    assert set(areas) == set(deeds)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    for area, deed in deeds.items():
        page.locator(f"nav a.link[href='#/{area}']").click()
        titled(
            page, Words(area, language), prompt, tmp_path
        )  # the one before has gone, whose fields may be called alike
        deed(page, Words(area, language), prompt, tmp_path / "red.png")
        expect(page.locator("main .trouble")).to_have_count(0)
    assert refused == []


def titled(page, say: Words, prompt: str, picture: Path) -> None:
    page.get_by_role("heading", name=say("title"), exact=True).wait_for()


def draws(page, say: Words, prompt: str, picture: Path) -> None:
    page.get_by_label(say("prompt"), exact=True).fill(prompt)
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill("1")
    page.get_by_role("button", name=say("generate"), exact=True).click()
    page.locator(f'.stage img:not(.early)[alt*="{prompt}"]').wait_for()


def watches(page, say: Words, prompt: str, picture: Path) -> None:
    page.get_by_label(say("prompt"), exact=True).fill(prompt)
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill("2")
    page.get_by_role("button", name=say("show"), exact=True).click()
    page.get_by_text(say("step", step=2, steps=2), exact=True).first.wait_for()


def looks(page, say: Words, prompt: str, picture: Path) -> None:
    page.locator(".picture").first.click()
    expect(page.locator("h1.prompt")).to_have_text(prompt)
    page.get_by_role("button", name=say("favourite"), exact=True).click()
    page.get_by_role("button", name=say("favourite.not"), exact=True).wait_for()


def waits(page, say: Words, prompt: str, picture: Path) -> None:
    rows = page.locator("li", has_text=prompt)
    rows.first.wait_for()
    count = rows.count()
    rows.first.get_by_role("button", name=say("forget"), exact=True).click()
    expect(rows).to_have_count(count - 1)


def reads(page, say: Words, prompt: str, picture: Path) -> None:
    page.locator(".card").first.click()
    page.get_by_role("dialog").locator("dd").last.wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def plots(page, say: Words, prompt: str, picture: Path) -> None:
    page.get_by_role("textbox", name=say("prompt"), exact=True).fill(prompt)
    values = page.get_by_label(say("values"), exact=True)
    values.nth(0).fill("1, 2")
    values.nth(1).fill("2")
    page.get_by_text(re.compile(say("plan", n=2))).first.wait_for()
    page.get_by_role("button", name=say("go"), exact=True).click()
    expect(page.locator("button.cell")).to_have_count(2)
    page.locator("figure img").wait_for()


def enlarges(page, say: Words, prompt: str, picture: Path) -> None:
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_label(say("upscaler"), exact=True).select_option("Lanczos")
    page.get_by_role("button", name=say("go"), exact=True).click()
    assert width(page.locator(".result img")) == 128


@LANGUAGES
def test_a_session_that_ends_loses_nothing_that_was_typed(visit, guarded, language: str) -> None:
    words = WORDS[language]
    page = visit("create", at=guarded.address, language=language)
    signed_in(page, words, "bob", "battery staple")
    page.get_by_label(words["prompt"], exact=True).fill(f"a quiet lake {language}")
    page.get_by_role("spinbutton", name=words["steps"], exact=True).fill("1")
    database = next(Path(guarded.folder, "data").glob("*.db"), None) or next(Path(guarded.folder).rglob("*.sqlite*"))
    with sqlite3.connect(database, timeout=60) as connection:
        connection.execute("UPDATE tokens SET expires = 1 WHERE session")
    page.wait_for_timeout(1500)  # by the server's clock: who calls is looked up once a second
    page.get_by_label(words["prompt"], exact=True).press("Control+Enter")
    page.get_by_text(words["expired"]).wait_for()
    expect(page.get_by_label(words["name"], exact=True)).to_have_value("bob")
    signed_in(page, words, "bob", "battery staple")
    page.get_by_label(words["prompt"], exact=True).press("Control+Enter")
    page.locator(f".stage img:not(.early)[alt*='a quiet lake {language}']").wait_for()


@LANGUAGES
def test_a_link_with_a_token_signs_in_and_is_not_kept(visit, guarded, language: str) -> None:
    words = WORDS[language]
    page = visit("create", at=guarded.address, language=language)
    page.get_by_role("button", name=words["in"], exact=True).wait_for()
    page.goto(f"{guarded.address}/#token={TOKEN}")  # in a page that is open
    page.get_by_label(words["prompt"], exact=True).wait_for()
    until(page, lambda: TOKEN not in page.url)
    told = page.evaluate("async () => JSON.stringify(await (await fetch('/api/v1/session')).json())")
    assert json.loads(told) == {"name": "token-1", "role": "admin", "accounts": True}
    page.context.clear_cookies()
    page.goto(f"{guarded.address}/?another#token=stolen-and-revoked")
    page.get_by_role("button", name=words["in"], exact=True).wait_for()


@LANGUAGES
def test_a_password_is_changed(visit, guarded, language: str) -> None:
    say, prompt = Words("shell", language), WORDS[language]["prompt"]
    guarded.add_user(f"cho-{language}", "first password")
    page = visit("create", at=guarded.address, language=language)
    signed_in(page, WORDS[language], f"cho-{language}", "first password")
    page.get_by_label(prompt, exact=True).wait_for()
    page.locator("nav .appearance").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=say("account.change"), exact=True).click()
    change = dialog.locator("form").get_by_role("button", name=say("account.change"), exact=True)
    page.get_by_label(say("account.old"), exact=True).fill("first password")
    page.get_by_label(say("account.new"), exact=True).fill("short")
    change.click()
    dialog.get_by_role("alert").get_by_text({"en": "at least 8", "zh": "至少要有 8"}[language]).wait_for()
    page.get_by_label(say("account.new"), exact=True).fill("second password")
    change.click()
    page.get_by_text(say("account.changed"), exact=True).wait_for()
    page.keyboard.press("Escape")
    page.reload()
    page.get_by_label(prompt, exact=True).wait_for()
