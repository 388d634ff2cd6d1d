"""A model is fetched from a hub by its name, onto the shelf that its content tells; the hub is one of ours."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from studio.waiting import expect
from studio.words import Words

from tests import hub_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio


@pytest.fixture(scope="module")
def beside_a_hub(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Studio]":
    """A server whose hub holds one small LoRA."""
    import numpy as np
    from safetensors.numpy import save

    from tools.browser import studio

    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    lora = {f"{name}.lora_down.weight": np.ones((4, 64), "f2"), f"{name}.lora_up.weight": np.ones((64, 4), "f2"),
            f"{name}.alpha": np.asarray(4, "f2")}  # fmt: skip
    folder = tmp_path_factory.mktemp("hub")
    repo = hub_server.Repo({"ink.safetensors": save(lora)}, {"license": "mit"})
    with hub_server.running({"somebody/ink": repo}) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.address)
        patch.setenv("HF_HOME", str(folder / "cache"))
        with studio(folder) as server:
            yield server


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_model_is_downloaded(visit: "Callable[..., Page]", beside_a_hub: "Studio", language: str) -> None:
    say = Words("models", language)
    page = visit("models", language=language, at=beside_a_hub.address)
    page.get_by_role("button", name=say("get.go"), exact=True).click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("textbox", name=say("get.name"), exact=True).fill("somebody/ink")
    sheet.get_by_role("textbox", name=say("get.as"), exact=True).fill(f"ink-{language}")
    sheet.get_by_role("textbox", name=say("get.as"), exact=True).press("Enter")
    said = say("get.done", file="FILE").partition("FILE")
    expect(sheet.locator(".good")).to_contain_text(f"ink-{language}")
    expect(sheet.locator(".good")).to_contain_text(said[2].strip())
    assert Path(beside_a_hub.models, "loras", f"ink-{language}.safetensors").is_file()
    page.keyboard.press("Escape")
    page.locator(".card", has_text=f"ink-{language}").click()
    expect(page.get_by_role("dialog").get_by_text("somebody/ink").first).to_be_visible()
