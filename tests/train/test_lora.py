"""Training LoRAs of every kind: they begin as nothing, learn, and are in their files what they were in training."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.adapters.full import Difference
from fromnoise.adapters.lora import LoRA
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model
from fromnoise.errors import UserError
from fromnoise.nn.ops import patching
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.dropouts import Dropouts, Thinned
from fromnoise.train.factors import BEGINNINGS, begin_boft, split
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import PRODUCTS, LoRAOptions
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from tests.engine.models import tiny_model
from tests.tiny_pictures import noisy

KINDS = list(BEGINNINGS)
SHAPES: list[tuple[str, dict[str, object]]] = [
    ("lora", {"tucker": True}), ("loha", {"tucker": True}), ("lokr", {"tucker": True, "rank": 2}),
    ("lokr", {"decompose_both": True, "rank": 1}), ("lora", {"rs_lora": True}), ("loha", {"rs_lora": True}),
    ("oft", {"rescaled": True}), ("boft", {"rescaled": True}), ("lokr", {"full_matrix": True}),
    ("lokr", {"unbalanced": True, "rank": 2}), ("lora", {"frozen_down": True}), ("full", {"norms": True}),
    ("ia3", {"layers": "ia3"}), ("oft", {"block_count": 4}),
    *((kind, {"scalar": True}) for kind in PRODUCTS),
]  # fmt: skip


COLUMNS: tuple[str, dict[str, object]] = ("lora", {"dora": True, "dora_columns": True})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noisy(tmp_path_factory.mktemp("pictures"), [f"sks number {number}" for number in range(3)])


def model(family: str = "sd1", seed: int = 0) -> Model:
    made = tiny_model(family)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    for network in (made.unet, *made.text):
        for p in network.parameters():
            p.data.add_(torch.randn_like(p) * 0.05)  # so that no branch is zero
        network.requires_grad_(False)
    return made


def task(on: Model, folder: Path, options: LoRAOptions, cache: Path | None = None) -> FineTuneTask:
    dataset = Dataset(subsets=(Subset(image_dir=folder),), batch_size=2, resolution=64)
    schedule = Schedule((gathered(dataset),), seed=0)
    return FineTuneTask(on, LoRATraining(on, options, 0), Lesson(schedule, 100, Objective(), Noising()), cache)


def options(kind: str, **more: object) -> LoRAOptions:
    return LoRAOptions.model_validate({"kind": kind, "rank": 4, "alpha": 2, **more})


def wide(kind: str) -> int:
    """Inner size in 3x3 convolutions."""
    return 0 if kind == "tlora" else 2


def answer(on: Model) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, on.unet.config.context_dim,
                                                                           generator=generator)  # fmt: skip
    with torch.no_grad():
        out: Tensor = on.unet(x, torch.tensor([500.0]), context)
    return out


@pytest.mark.parametrize(("kind", "more"), [*((kind, {}) for kind in KINDS), *SHAPES], ids=str)
def test_it_begins_as_nothing_and_leaves_no_trace(kind: str, more: dict[str, object]) -> None:
    on = model()
    before = answer(on)
    training = LoRATraining(on, options(kind, **{"layers": "all", "conv_rank": wide(kind), **more}), 0)
    with training.applied():
        torch.testing.assert_close(answer(on), before, rtol=1e-5, atol=1e-6)
        for p in training.module.parameters():
            p.data.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(2)) * 0.05)
        assert not torch.allclose(answer(on), before, rtol=1e-3, atol=1e-3)
    assert torch.equal(answer(on), before)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind: str, folder: Path) -> None:
    torch.manual_seed(0)
    on = model()
    one = task(on, folder, options(kind))
    optimizer = torch.optim.AdamW(one.module.parameters(), lr=1e-2)
    first = None
    for _ in range(12):
        loss, _ = one.loss(0)  # the same step over and over
        first = first or float(loss.detach())
        loss.backward()
        assert all(p.grad is not None for p in one.module.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert float(loss.detach()) < 0.97 * first
    assert all(p.grad is None for network in (on.unet, on.vae, *on.text) for p in network.parameters())


@pytest.mark.parametrize(
    ("kind", "family", "more"),
    [
        *((kind, family, {}) for kind in KINDS for family in ("sd1", "sdxl")),
        *((k, "sd1", more) for k, more in (*SHAPES, COLUMNS)),
    ],
    ids=str,
)
def test_its_file_does_what_it_did_in_training(kind: str, family: str, more: dict[str, object], tmp_path: Path) -> None:
    on = model(family)
    layers = "all" if family == "sd1" else "transformer"
    training = LoRATraining(on, options(kind, **{"layers": layers, "conv_rank": wide(kind), **more}), 0)
    generator = torch.Generator().manual_seed(1)
    for p in training.module.parameters():
        p.data.add_(torch.randn(p.shape, generator=generator) * 0.05)
    path = save_checkpoint(tmp_path / "lora.safetensors", training.tensors(), dtype=None, metadata=training.metadata())
    adapter = load_adapter(path, training.networks)
    assert not adapter.unmatched
    for name, network in training.networks.items():
        inputs = sample_input(name, network)
        with torch.no_grad(), training.applied():
            wanted = run(network, inputs)
        with torch.no_grad(), patching(network, adapter.patches(name, Strengths())):
            found = run(network, inputs)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def sample_input(name: str, network: nn.Module) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    if name != "unet":
        return (torch.randint(0, 49_000, (1, 77), generator=generator),)
    config = network.config
    y = torch.randn(1, config.vector_dim, generator=generator) if config.vector_dim else None  # type: ignore[arg-type]
    x, t = torch.randn(1, 4, 8, 8, generator=generator), torch.tensor([300.0])
    inputs = (x, t, torch.randn(1, 77, config.context_dim, generator=generator), y)  # type: ignore[arg-type]
    return tuple(value for value in inputs if value is not None)


def run(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    out = network(*inputs)
    return out if isinstance(out, Tensor) else out.last


def test_a_step_is_the_same_each_time_and_from_the_cache(folder: Path, tmp_path: Path) -> None:
    on = model()
    one, again = (task(on, folder, options("lora"), tmp_path / "cache") for _ in range(2))
    assert len(list((tmp_path / "cache").glob("*"))) == 0
    first = float(one.loss(3)[0].detach())
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) > 0
    assert float(again.loss(3)[0].detach()) == first
    assert float(one.loss(4)[0].detach()) != first


def test_kohyas_names(folder: Path) -> None:
    names = set(LoRATraining(model(), options("lora"), 0).tensors())
    assert "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight" in names
    assert "lora_te_text_model_encoder_layers_0_mlp_fc1.alpha" in names
    names = set(LoRATraining(model("sdxl"), options("lora"), 0).tensors())
    assert "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k.lora_up.weight" in names
    assert "lora_te2_text_model_encoder_layers_1_self_attn_q_proj.lora_up.weight" in names


@pytest.mark.parametrize(
    ("length", "factor", "pair"),
    [(127, -1, (1, 127)), (128, -1, (8, 16)), (250, -1, (10, 25)), (360, -1, (18, 20)), (512, -1, (16, 32)),
     (1024, -1, (32, 32)), (128, 8, (8, 16)), (250, 8, (5, 50)), (360, 8, (8, 45)), (512, 8, (8, 64)),
     (1024, 8, (8, 128)), (360, 16, (15, 24)), (1024, 16, (16, 64))],
)  # fmt: skip
def test_sides_are_split_as_lycoris_splits_them(length: int, factor: int, pair: tuple[int, int]) -> None:
    assert split(length, factor) == pair


def test_the_parts_that_are_wanted_train(folder: Path) -> None:
    unet_only = LoRATraining(model(), options("lora", text=False), 0)
    assert not unet_only.trains_text
    assert all(name.startswith("lora_unet_") for name in unet_only.tensors())


@pytest.mark.parametrize(
    ("kind", "more", "slot", "shape"),
    [("lora", {"tucker": True}, "lora_mid.weight", (3, 3, 3, 3)), ("loha", {"tucker": True}, "hada_t2", (3, 3, 3, 3)),
     ("lokr", {"tucker": True}, "lokr_t2", (3, 3, 3, 3)),
     ("lokr", {"decompose_both": True, "rank": 1}, "lokr_w1_a", (4, 1)),
     ("oft", {"rescaled": True}, "rescale", (32, 1, 1, 1))],
)  # fmt: skip
def test_what_shapes_a_kind_is_in_its_file(
    kind: str, more: dict[str, object], slot: str, shape: tuple[int, ...]
) -> None:
    training = LoRATraining(model(), options(kind, layers="all", conv_rank=3, text=False, **more), 0)
    found = [tensor.shape for name, tensor in training.tensors().items() if name.endswith(slot)]
    assert torch.Size(shape) in found


def test_strengths_by_the_root_of_the_inner_size() -> None:
    plain, root = (LoRATraining(model(), options("lora", rs_lora=by_root), 0) for by_root in (False, True))
    name = plain.sites[0].name
    first, second = (one.changes[name]["weight"] for one in (plain, root))
    assert isinstance(first, LoRA)
    assert isinstance(second, LoRA)
    assert (first.scale, second.scale) == (2 / 4, 2 / 4**0.5), name
    assert "rs_lora" in root.metadata()["ss_network_args"]


def test_rows_and_layers_of_other_kinds_are_left_out_by_chance() -> None:
    on = model()
    training = LoRATraining(on, options("loha", rank_dropout=0.4, text=False), 0)
    shake(training)
    name, changes = next(iter(training.changes.items()))
    adapter, thinned = changes["weight"], Thinned(training.dropouts)
    weight = on.unet.get_submodule(next(site.layer for site in training.sites if site.name == name)).weight.float()
    changed = adapter.merged(weight)
    torch.manual_seed(0)
    stayed = 0.0
    for _ in range(20):
        some = thinned(adapter, weight)
        rows = (some == changed).flatten(1).all(dim=1)
        assert torch.equal(some[~rows], weight[~rows])
        bias = thinned(Difference(torch.ones(len(weight))), torch.zeros(len(weight)), again=True)
        assert torch.equal(bias, rows.float())  # the same rows
        stayed += float(rows.float().mean()) / 20
    assert stayed == pytest.approx(0.6, abs=0.1)
    with torch.no_grad():
        assert torch.equal(thinned(adapter, weight), changed)
    skipped = sum(torch.equal(Thinned(Dropouts(modules=0.5))(adapter, weight), weight) for _ in range(60))
    assert skipped == pytest.approx(30, abs=15)


def shake(training: LoRATraining) -> None:
    generator = torch.Generator().manual_seed(1)
    for p in training.module.parameters():
        p.data.add_(torch.randn(p.shape, generator=generator) * 0.05)


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [("oft", {"tucker": True}, "use_tucker is for lora, loha, lokr alone"), ("lora", {"rescaled": True}, "oft, boft"),
     ("loha", {"decompose_both": True}, "lokr alone"), ("ia3", {"rs_lora": True}, "not for ia3"),
     ("full", {"dora": True}, "dora_wd is for"), ("oft", {"scalar": True}, "use_scalar is for lora, loha"),
     ("loha", {"full_matrix": True}, "lokr alone"), ("lora", {"unbalanced": True}, "unbalanced_factorization"),
     ("lora", {"dora_columns": True}, "give dora_wd as well"), ("loha", {"frozen_down": True}, "not for loha"),
     ("lokr", {"full_matrix": True, "decompose_both": True}, "makes no products"),
     ("dylora", {"block_size": 3}, "4 ranks are no multiple of"), ("tlora", {"conv_rank": 2}, "tlora has no"),
     ("oft", {"bypass": True}, "bypass_mode: Ly"), ("lora", {"bypass": True, "dora": True}, "bypass_mode: Ly"),
     ("oft", {"block_count": 3}, "rows can't be shared out among 3 blocks"), ("full", {"block_count": 3}, "oft alone")],
)  # fmt: skip
def test_what_a_kind_has_not_is_refused(kind: str, more: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LoRATraining(model(), options(kind, **more), 0)


def test_what_would_do_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    LoRATraining(model(), options("loha", bypass=True, text=False), 0)
    assert "bypass_mode changes nothing" in caplog.text


def test_strengths_that_are_learnt_are_part_of_a_factor_in_files(tmp_path: Path) -> None:
    training = LoRATraining(model(), options("lora", scalar=True, text=False), 0)
    shake(training)
    name = training.sites[0].name
    factors = dict(training.factors[name].named_parameters())
    assert set(factors) == {"lora_up", "lora_down", "scalar"}
    tensors = training.tensors()
    assert not [key for key in tensors if "scalar" in key]
    torch.testing.assert_close(tensors[f"{name}.lora_up.weight"], factors["lora_up"] * factors["scalar"])
    path = save_checkpoint(tmp_path / "it.safetensors", tensors, dtype=None)
    again = LoRATraining(model(), options("lora", scalar=True, text=False, start=path), 5)
    assert again.factors[name].get_parameter("scalar").item() == 1  # what was learnt is in the factor
    for key, tensor in again.tensors().items():
        torch.testing.assert_close(tensor, tensors[key].view_as(tensor))


def test_kohyas_own_names_of_rotations(tmp_path: Path) -> None:
    training = LoRATraining(model(), options("oft", text=False, block_count=4), 0)
    shake(training)
    theirs = {name.replace("lora_unet_", "oft_unet_"): tensor for name, tensor in training.tensors().items()}
    adapter = load_adapter(save_checkpoint(tmp_path / "it.safetensors", theirs, dtype=None), training.networks)
    assert len(adapter.changes["unet"]) == len(training.sites)
    assert {len(t) for n, t in theirs.items() if n.endswith("oft_blocks")} == {4}


def test_one_factor_stays_as_it_began(folder: Path) -> None:
    one = task(model(), folder, options("lora", frozen_down=True))
    training = one.trainable
    assert isinstance(training, LoRATraining)
    assert all(name.endswith("lora_up") for name, _ in training.module.named_parameters())
    assert json.loads(training.metadata()["ss_network_args"]) == {}
    assert training.metadata()["ss_network_module"] == "networks.lora_fa"
    assert len([key for key in training.tensors() if key.endswith("lora_down.weight")]) == len(training.sites)


def test_factors_are_where_their_layers_are() -> None:
    on = model()
    on.unet.to("meta")
    for kind in KINDS:
        training = LoRATraining(on, options(kind, text=False, layers="all", conv_rank=wide(kind)), 0)
        held = [tensor for slots in training.fixed.values() for tensor in slots.values() if tensor.ndim]
        assert {tensor.device.type for tensor in (*training.module.parameters(), *held)} == {"meta"}, kind


@pytest.mark.parametrize(
    ("rows", "size", "block", "count", "stages"), [(320, 16, 10, 32, 6), (320, 4, 4, 80, 5), (1280, 8, 8, 160, 6)]
)
def test_blocks_of_a_butterfly(rows: int, size: int, block: int, count: int, stages: int) -> None:
    slots = begin_boft(torch.zeros(rows, 4), size, options("boft"), torch.Generator())
    assert slots["boft_blocks"].shape == (stages, count, block, block)


def test_a_dropout_that_would_do_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    LoRATraining(model(), options("loha", dropout=0.1, text=False), 0)
    assert "network_dropout acts on plain LoRAs alone" in caplog.text
