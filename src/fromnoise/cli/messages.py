"""What the command line says, in English and in Chinese: the English text is the key of the catalogue."""

import locale
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Literal

Language = Literal["en", "zh"]
SPOKEN: ContextVar[Language | None] = ContextVar("spoken", default=None)


def say(message: str, **values: object) -> str:
    """`message` in the user's language, its {names} filled in."""
    text = ours()[message] if language() == "zh" else message
    return text.format(**values) if values else text


def ours() -> Mapping[str, str]:
    """The command line's own sentences, and their Chinese: read when somebody needs them."""
    from fromnoise.cli.chinese import OURS

    return OURS


def sentences() -> Mapping[str, str]:
    """Those of other layers, with {names} in them, and their Chinese."""
    from fromnoise.cli.chinese import ELSEWHERE

    return ELSEWHERE


def language(environment: Mapping[str, str] = os.environ) -> Language:
    """Chinese where the locale is; FROMNOISE_LANG overrides the locale, and a `with spoken(...)` both."""
    if (chosen := SPOKEN.get()) is not None:
        return chosen
    wanted = environment.get("FROMNOISE_LANG") or locale_name(environment)
    return "zh" if wanted.lower().startswith(("zh", "chinese")) else "en"


@contextmanager
def spoken(wanted: Language) -> Iterator[None]:
    """Inside, things are said in that language."""
    before = SPOKEN.set(wanted)
    try:
        yield
    finally:
        SPOKEN.reset(before)


def locale_name(environment: Mapping[str, str]) -> str:
    """As gettext chooses: LANGUAGE counts unless the locale is C. Without any of them the system is asked (Windows)."""
    own = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    if own.split(".")[0] in ("C", "POSIX"):
        return own
    return environment.get("LANGUAGE") or own or locale.getlocale()[0] or ""


def translated(sentence: str) -> str:
    """A finished sentence of another layer in the user's language; unchanged where no pattern knows it."""
    return sentence if language() == "en" else in_chinese(sentence)


def in_chinese(sentence: str) -> str:
    """The same for Chinese, with the sentences inside it; what stands before a colon may be anything.

    The studio's page does the same with the same table: studio/src/text/sentences.ts.
    """
    for pattern, text in patterns():
        if found := pattern.fullmatch(sentence):
            inside = {name: in_chinese(value) if " " in value else value for name, value in found.groupdict().items()}
            return text.format(**inside)
    what, colon, rest = sentence.partition(": ")
    told = in_chinese(rest) if colon else rest
    return sentence if told == rest else f"{what}：{told}"


@cache
def patterns() -> list[tuple[re.Pattern[str], str]]:
    """The sentences of other layers as regular expressions, and their translations."""
    return [(re.compile(pattern(sentence), re.DOTALL | re.IGNORECASE), text) for sentence, text in sentences().items()]


def pattern(sentence: str) -> str:
    """A regular expression for `sentence` with anything in place of its {names}."""
    parts = re.split(r"\{(\w+)\}", sentence)
    return "".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
