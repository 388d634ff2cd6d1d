"""Custom Diffusion in diffusers' files: what is trained here does there what it did in training, and theirs is read."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.models.attention_processor import CustomDiffusionAttnProcessor

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.checkpoints.adapter_files.embedding import read_embedding
from fromnoise.engine.library import Model
from fromnoise.nn.ops import patching
from fromnoise.train.custom import CustomOptions, CustomTraining
from tests.reference.test_networks import relative
from tests.reference.test_training import CONTEXT, Loader, T, X, models, tokenizer
from tests.train.test_methods import shaken

NAME = "pytorch_custom_diffusion_weights.bin"


def trained(on: Model, queries: bool = False) -> CustomTraining:
    training = CustomTraining(on, CustomOptions(token="newword", vectors=2, queries=queries), 0)
    shaken(training.module, 0.1)
    return training


class Pipeline(DiffusionPipeline):
    """What `load_attn_procs` wants of one."""

    def __init__(self) -> None:
        pass

    hf_device_map = None
    components: ClassVar[dict[str, Any]] = {}


def with_processors(theirs: Any, folder: Path) -> Any:
    theirs.load_attn_procs(str(folder), weight_name=NAME, _pipeline=Pipeline())
    return theirs


@pytest.mark.parametrize("queries", [False, True])
@torch.no_grad()
def test_diffusers_does_what_was_trained(queries: bool, tmp_path: Path) -> None:
    on, theirs = models()
    training = trained(on, queries)
    training.write(tmp_path / NAME, {})
    with training.applied():
        ours = on.unet(X, T, CONTEXT)
    plain = theirs(X, T, CONTEXT).sample
    answer = with_processors(theirs, tmp_path)(X, T, CONTEXT).sample
    assert relative(plain, answer) > 1e-3
    assert relative(ours, answer) < 5e-5
    assert any(isinstance(p, CustomDiffusionAttnProcessor) and p.train_kv for p in theirs.attn_processors.values())


@torch.no_grad()
def test_the_word_lies_beside_it(tmp_path: Path) -> None:
    import transformers

    on, _ = models()
    training = trained(on)
    training.write(tmp_path / NAME, {})
    wanted = training.word.tensors()["emb_params"]
    loader = Loader()
    loader.tokenizer = tokenizer(tmp_path)
    loader.text_encoder = transformers.CLIPTextModel(transformers.CLIPTextConfig(
        hidden_size=wanted.shape[1], num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=49408
    ))  # fmt: skip
    loader.load_textual_inversion(str(tmp_path), weight_name="newword.bin")
    ids = loader.tokenizer.convert_tokens_to_ids(["newword", "newword_1"])
    torch.testing.assert_close(loader.text_encoder.get_input_embeddings().weight[ids], wanted)
    assert read_embedding(tmp_path / "newword.bin").token == "newword"


@pytest.mark.parametrize("queries", [False, True])
@torch.no_grad()
def test_what_diffusers_saved_is_read(queries: bool, tmp_path: Path) -> None:
    on, theirs = models()
    trained(on, queries).write(tmp_path / NAME, {})
    with_processors(theirs, tmp_path)
    folder = tmp_path / "theirs"
    theirs.save_attn_procs(str(folder), weight_name=NAME, safe_serialization=False)
    torch.save({"<new1>": torch.randn(2, 32)}, folder / "<new1>.bin")
    answer = theirs(X, T, CONTEXT).sample
    adapter = load_adapter(folder, {"unet": on.unet, "text0": on.text[0]})
    assert not adapter.unmatched
    assert adapter.embeddings["<new1>"].count == 2
    with patching(on.unet, adapter.patches("unet", Strengths())):
        assert relative(on.unet(X, T, CONTEXT), answer) < 5e-5
    assert relative(on.unet(X, T, CONTEXT), answer) > 1e-3
