"""What lower layers remark is told once, on stderr, in the user's language."""

import logging

import pytest

from fromnoise.cli.remarks import remarks

LOG = logging.getLogger("fromnoise.engine.somewhere")


def test_a_remark_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    with remarks():
        for what in ("this", "this", "that"):
            LOG.warning("%s was\ndone", what)
        LOG.info("nobody needs this")
    LOG.warning("nobody prints this any more")
    assert capsys.readouterr() == ("", "fromnoise: this was done\nfromnoise: that was done\n")


def test_in_chinese(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    with remarks():
        LOG.warning("no wildcard is called 'x': read as text")
    assert capsys.readouterr().err == "fromnoise: 没有叫 'x' 的通配符，按文字处理\n"
