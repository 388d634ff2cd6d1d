"""What stays in memory is planned from shapes, kept to, and tightened where it was too much; pictures do not change."""

import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from torch import nn

from fromnoise import allocator
from fromnoise.checkpoints.detect import ModelFacts
from fromnoise.engine import library, memory
from fromnoise.engine.footprint import demand, peak
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Demand, Placement, Plan, group_free, place, planned, plans, tighter
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.residence import Residence
from fromnoise.engine.sizes import parsed
from fromnoise.errors import UserError
from fromnoise.nn import int8, ops
from fromnoise.nn.clip import CLIP_L, OPENCLIP_G
from fromnoise.nn.int8 import Int8
from fromnoise.nn.unet import SD1, SDXL, UNet, Upsample
from fromnoise.nn.vae import SD_VAE, SDXL_VAE, Decoder, Encoder
from fromnoise.settings import Settings
from tests.engine.models import tiny_model
from tests.engine.test_networks import write_lora

CPU = place("cpu", "float32")
WORK = Demand(unet=1000, text=100, vae=50, largest=10, call=40, whole=300, strips=100, base=100)
RECIPE = Recipe.make(prompt="a red apple", width=64, height=64, steps=2, sampler="euler")


def budget(room: int) -> int:
    """The one that leaves so much to plan with."""
    return round(room / (1 - memory.SLACK))


@pytest.mark.parametrize(
    ("room", "plan"),
    [
        (1550, Plan(2)),
        (1549, Plan(2, text=False)),
        (1449, Plan(2, text=False, vae=False)),
        (1399, Plan(2, text=False, vae=False, alone=True)),
        (1209, Plan(2, 0.999, text=False, vae=False, alone=True)),
        (410, Plan(2, 0.2, text=False, vae=False, alone=True)),
        (399, Plan(2, 0.189, text=False, vae=False, alone=True, strips=True)),
        (210, Plan(2, 0.0, text=False, vae=False, alone=True, strips=True)),
    ],
)
def test_the_loosest_plan_that_fits_is_taken(room: int, plan: Plan) -> None:
    assert planned(WORK, budget(room), calls=2) == plan
    assert WORK.height(plan) <= room


def test_what_waits_with_the_network_is_within_the_budget() -> None:
    """Where the U-Net would fit but for a control network, some of its weights wait, so that the other's may."""
    guided = replace(WORK, control=300)
    for room in range(410, 1860):
        plan = planned(guided, budget(room), calls=2)
        assert plan.unet <= 1
        assert guided.height(plan) <= room
    assert planned(guided, budget(1300), calls=2).unet == memory.BELOW_ALL


def test_what_torch_keeps_for_reuse_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        mem_get_info = staticmethod(lambda device: (1000, 5000))
        memory_reserved = staticmethod(lambda device: 700)
        memory_allocated = staticmethod(lambda device: 300)

    monkeypatch.setattr(torch, "get_device_module", lambda device: Card)
    assert memory.free(torch.device("cuda")) == 1400


def test_pictures_that_are_never_decoded_whole_are_not_planned_so(file: Path) -> None:
    facts = loaded(file, None).facts
    small, large = (demand(facts, CPU, side, side) for side in (64, 2048))
    assert large.whole == large.strips
    tiling = demand(facts, CPU, 64, 64, seamless=True)
    assert tiling.whole == tiling.strips == small.whole, "those that tile are never cut"


def test_embeddings_stay_on_devices() -> None:
    here, card = (
        demand(full_size("sd1"), Placement(torch.device(kind), torch.bfloat16), 256, 256) for kind in ("cpu", "cuda")
    )
    table = 2 * (CLIP_L.vocab_size + 77) * CLIP_L.dim
    assert (card.base - here.base, here.text - card.text) == (table, table)


def test_calls_are_split_last() -> None:
    many = replace(WORK, call=80)
    assert planned(many, budget(210), calls=4).calls == 1
    with pytest.raises(UserError, match=r"needs 0.0 GB of memory at least, .* choose a smaller --size"):
        planned(many, budget(209), calls=4)


def test_plans_only_get_tighter() -> None:
    heights = [WORK.height(plan) for plan in plans(8)]
    assert heights == sorted(heights, reverse=True)
    plan: Plan | None = Plan(8)
    tried = []
    while plan is not None:
        tried.append(plan)
        plan = tighter(plan)
    assert [WORK.height(plan) for plan in tried] == sorted((WORK.height(plan) for plan in tried), reverse=True)
    assert tried[-1] == memory.TIGHTEST


def test_large_pictures_are_decoded_by_the_processor_where_it_has_memory_of_its_own() -> None:
    room = WORK.height(memory.TIGHTEST) - 1
    least = replace(WORK, call=10)
    with pytest.raises(UserError, match="choose a smaller"):
        planned(least, budget(room - 20), calls=2)
    plan = planned(replace(least, two=True), budget(room - 20), calls=2)
    assert plan == Plan(2, plan.unet, text=False, vae=False, alone=True, strips=True, away=True)
    assert replace(least, two=True).least < least.least
    assert tighter(memory.TIGHTEST) is None
    assert tighter(memory.TIGHTEST, two=True) == replace(memory.TIGHTEST, away=True)


def test_what_the_processor_decodes_is_the_same(file: Path) -> None:
    model = loaded(file, None)
    assert model.residence is not None
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        wanted = model.decode(latents), model.encode(image)
        nothing = Placement(torch.device("meta"), torch.float32)  # is computed there
        model = replace(model, placement=nothing)
        model.residence.plan = Plan(away=True, vae=False)
        torch.testing.assert_close((model.decode(latents), model.encode(image)), wanted, rtol=0, atol=1e-5)


def test_autoencoders_that_do_not_overflow_take_half() -> None:
    where = Placement(torch.device("cuda"), torch.float16)
    wide, half = (demand(full_size("sd1"), where, 256, 256, wide=wide) for wide in (True, False))
    assert (wide.whole, wide.strips, wide.vae) == (2 * half.whole, 2 * half.strips, 2 * half.vae)


@pytest.mark.parametrize(
    ("said", "size"),
    [("4GB", 4 * 10**9), ("3.5 GiB", 7 << 29), ("800m", 800 * 10**6), ("1k", 1000), ("123456", 123456)],
)
def test_sizes_are_read(said: str, size: int) -> None:
    assert parsed(said) == size


@pytest.mark.parametrize("said", ["", "much", "4 apples", "-1GB", "4PB", "1.2.3GB"])
def test_what_is_no_size_is_refused(said: str) -> None:
    with pytest.raises(UserError, match="give a size such as 4GB"):
        parsed(said)


def test_the_height_of_a_computation_is_counted() -> None:
    with torch.device("meta"):
        x, layer = torch.empty(10, 10), nn.Linear(10, 30)
        assert peak(lambda: x + 1) == 100
        assert peak(lambda: (x + 1) + 2) == 200, "both are alive while the second is made"
        assert peak(lambda: [x + 1, x + 2, x + 3]) == 300
        assert peak(lambda: layer(x).relu()) == 600, "weights do not count"
        assert peak(lambda: x.view(5, 20)) == 0
        q = torch.empty(1, 8, 4096, 40)
        assert peak(lambda: nn.functional.scaled_dot_product_attention(q, q, q)) == q.numel()


def test_a_model_is_measured_without_being_made() -> None:
    model = tiny_model()
    numbers = sum(parameter.numel() for parameter in model.unet.parameters())
    small, large = (demand(model.facts, CPU, side, side) for side in (64, 128))
    assert small.unet == numbers * 4
    assert (large.unet, large.text, large.vae) == (small.unet, small.text, small.vae)
    assert large.call == pytest.approx(4 * small.call, rel=0.05)
    huge = demand(model.facts, CPU, 512, 512)
    assert huge.strips * 2 < huge.whole
    widths = [module.conv.in_channels for module in model.unet.modules() if isinstance(module, Upsample)]
    assert huge.unet - small.unet == ops.by_onednn(CPU.device, CPU.dtype) * 4 * sum(16 * width**2 for width in widths)
    half = demand(model.facts, Placement(torch.device("cpu"), torch.bfloat16), 64, 64)
    assert half.call * 2 == small.call


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors", "sd1")


def loaded(file: Path, most: int | None, *, settings: Settings | None = None) -> Model:
    return library.load(str(file), CPU, settings=settings or Settings(), budget=most)


def least(model: Model, recipe: Recipe = RECIPE) -> int:
    """Bytes of the tightest plan."""
    needed = demand(model.facts, CPU, recipe.width, recipe.height)
    return budget(needed.height(replace(memory.TIGHTEST, calls=2)))


def test_weights_that_wait_draw_the_same_picture(file: Path) -> None:
    (free,) = generate(loaded(file, None), [RECIPE])
    model = loaded(file, 0)
    needed = demand(model.facts, CPU, 64, 64)
    tight = Plan(2, 0.0, text=False, vae=False, alone=True)
    for share in (0.0, 0.5):
        model = loaded(file, budget(needed.height(tight) + round(share * needed.unet)))
        (made,) = generate(model, [RECIPE])
        assert model.residence is not None
        assert model.residence.plan.unet < 1
        assert made.image.tobytes() == free.image.tobytes()


def test_start_pictures_are_encoded_without_the_network_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = demand(loaded(file, None).facts, CPU, 64, 64)
    model = loaded(file, budget(needed.height(Plan(2, text=False, vae=False)) - 1000))
    there: dict[str, int] = {}

    def seen(kind: type[nn.Module]) -> None:
        work = kind.forward

        def forward(self: nn.Module, *given: torch.Tensor, **named: torch.Tensor | None) -> torch.Tensor:
            ready = sum(not one.waits for one in model.unet.modules() if isinstance(one, ops.Fetching))
            there.setdefault(kind.__name__, ready)
            return work(self, *given, **named)

        monkeypatch.setattr(kind, "forward", forward)

    for kind in (Encoder, UNet, Decoder):
        seen(kind)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file.with_name("start.png"))
    init = ImageRef.of(file.with_name("start.png")).model_dump()
    list(generate(model, [RECIPE.but(init=init, strength=0.5)]))
    assert model.residence is not None
    assert model.residence.plan.alone
    assert there["Encoder"] == there["Decoder"] == 0
    assert there["UNet"] > 0


@torch.inference_mode()
def test_nothing_is_kept_of_weights_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "FEW", 0)
    monkeypatch.setattr(int8, "NARROW", 16)
    model, before = tiny_model(), len(int8.ROUNDED.kept)
    residence = Residence(model.unet, model.text, model.vae, CPU)
    x = torch.randn(1, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    given = x, torch.tensor([500]), torch.randn(1, 7, model.unet.config.context_dim)
    made = []
    for plan in (Plan(), memory.TIGHTEST):
        residence.settle(plan)
        assert len(int8.ROUNDED.kept) == before, "what was made before went with its weights"
        with Int8().applied(model.unet):
            made.append(model.unet(*given))
        if plan == Plan():
            assert len(int8.ROUNDED.kept) > before
    assert torch.equal(made[0], made[1])
    assert len(int8.ROUNDED.kept) == before


def test_too_little_is_refused_before_anything_is_drawn(file: Path) -> None:
    model = loaded(file, 1_000_000)
    with pytest.raises(UserError, match="choose a smaller --size"):
        next(generate(model, [RECIPE]))


def test_loras_act_at_each_use_where_copies_have_no_room(tmp_path: Path) -> None:
    file = tiny.checkpoint(tmp_path / "tiny.safetensors", "sd1")
    free = loaded(file, None)
    write_lora(free, tmp_path / "lora.safetensors", seed=1)
    recipe = RECIPE.but(networks=[NetworkUse(kind="lora", name=str(tmp_path / "lora.safetensors"), strength=0.8)])
    (wanted,) = generate(free, [recipe])
    (plain,) = generate(free, [RECIPE])
    assert wanted.image.tobytes() != plain.image.tobytes()
    tight = loaded(file, least(free) + 1000)
    (made,) = generate(tight, [recipe])
    assert made.image.tobytes() == wanted.image.tobytes()
    assert tight.kept.copies.computed == 0


def test_the_picture_is_finished_where_memory_runs_out(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (wanted,) = generate(loaded(file, None), [RECIPE], max_batch=1)
    model = loaded(file, None)
    forward = model.unet.forward
    sizes = []

    def scarce(x: torch.Tensor, *more: torch.Tensor | None, **named: torch.Tensor | None) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB")
        return forward(x, *more, **named)

    monkeypatch.setattr(model.unet, "forward", scarce)
    (made,) = generate(model, [RECIPE])
    assert made.image.tobytes() == wanted.image.tobytes()
    assert sizes == [2, 1, 1, 1, 1]
    assert caplog.messages == ["out of memory: the picture goes on with less at once, more slowly"]


def test_the_decoder_goes_on_in_strips(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(file, None)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = model.decode(latents)

    def scarce(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr("fromnoise.nn.vae.AutoencoderKL.decode", scarce)
    with torch.inference_mode():
        torch.testing.assert_close(model.decode(latents), wanted, rtol=0, atol=1e-4)


def test_what_does_not_help_is_not_tried_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(file, None)

    def never(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.unet, "forward", never)
    with pytest.raises(torch.OutOfMemoryError):
        list(generate(model, [RECIPE]))


def test_other_failures_are_not_hidden(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(file, None)

    def wrong(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(model.unet, "forward", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        list(generate(model, [RECIPE]))


def test_little_free_memory_is_planned_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "free", lambda device: 1 << 30)
    assert loaded(file, None).budget == 1 << 30
    monkeypatch.setattr(library, "free", lambda device: 1 << 40)
    assert loaded(file, None).budget is None
    monkeypatch.setattr(library, "free", lambda device: None)
    assert loaded(file, None).budget is None


def test_models_that_nobody_uses_do_not_count(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = loaded(file, 0)
    assert old.residence is not None
    old.residence.beside = (old.residence,)  # as two models that know each other
    there = ref(old.residence)
    monkeypatch.setattr(library, "free", lambda device: 1 << 30 if there() else 1 << 40)
    gc.disable()
    try:
        del old
        assert loaded(file, None).budget is None
    finally:
        gc.enable()


def test_freed_memory_is_kept_again_as_the_environment_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(allocator, "tell_glibc", lambda options, trim=False: told.extend(options))
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", str(32 << 30))
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    allocator.give_back()
    allocator.keep_again()
    assert told == [(-4, 1 << 16), (-3, 1 << 22), (-1, 1 << 22), (-4, 0), (-3, 1 << 25), (-1, -1)]


def test_a_program_that_was_started_without_is_told_to_keep_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(allocator, "tell_glibc", lambda options, trim=False: told.extend(options))
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    allocator.keep_freed()
    assert told == [(-4, 0), (-3, 1 << 25), (-1, 1000)], "and what the environment says stays"
    assert os.environ["MALLOC_MMAP_MAX_"] == "0", "for processes that it starts, too"


def test_a_control_group_is_asked(tmp_path: Path) -> None:
    for name, text in (
        ("memory.max", "1000\n"),
        ("memory.current", "700\n"),
        ("memory.stat", "anon 5\ninactive_file 50\n"),
    ):
        (tmp_path / name).write_text(text)
    assert group_free(tmp_path) == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert group_free(tmp_path) is None
    assert memory.free(torch.device("cpu")) != 0


def test_groups_around_the_programs_own_are_asked_and_those_of_version_1(tmp_path: Path) -> None:
    def write(group: str, names: tuple[str, str, str], *numbers: int) -> None:
        folder = tmp_path / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, number in zip(names, numbers, strict=False):
            (folder / name).write_text(f"{number}\n")
        (folder / "memory.stat").write_text(f"{names[2]} {numbers[2]}\n")

    own = tmp_path / "own"
    own.write_text("0::/slice/mine\n5:cpu:/slice\n")
    write("slice", memory.VERSION_2, 1000, 800, 100)
    write("slice/mine", memory.VERSION_2, 5000, 700, 0)
    assert group_free(tmp_path, own) == 300, "the group around it leaves less"
    old = tmp_path / "old"
    own.write_text("7:cpu,memory:/docker/one\n")
    write("old/memory/docker/one", memory.VERSION_1, 900, 400, 50)
    write("old/memory", memory.VERSION_1, 9223372036854771712, 400, 50)
    assert group_free(old, own) == 550
    assert memory.group_limit(old, own) == 900


def test_windows_and_macs_are_asked() -> None:
    class Kernel:
        def GlobalMemoryStatusEx(self, given: Any) -> int:
            status = given._obj
            status.free, status.total = 7 << 30, 9 << 30
            return int(status.length == 64)

    class Deaf:
        def GlobalMemoryStatusEx(self, given: Any) -> int:
            return 0

    found = memory.windows_memory(Kernel())
    assert found is not None
    assert (found.free, found.total) == (7 << 30, 9 << 30)
    assert memory.windows_memory(Deaf()) is None
    told = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10.
Pages active:                          20000.
Pages inactive:                          300.
Pages speculative:                      4000.
Pages throttled:                           0.
Pages purgeable:                       50000.
"""
    assert memory.free_pages(told) == 54310 * 16384
    assert memory.free_pages("no such thing") is None


def full_size(family: str) -> ModelFacts:
    xl = family == "sdxl"
    return ModelFacts(
        family="sdxl" if xl else "sd1", task="base", prediction="eps", prediction_from="caller", zero_snr=False,
        unet=SDXL if xl else SD1, vae=SDXL_VAE if xl else SD_VAE, text=(CLIP_L, OPENCLIP_G) if xl else (CLIP_L,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("device", "dtype"),
    [("cuda", torch.float16), ("cuda", torch.bfloat16), ("xpu", torch.bfloat16), ("mps", torch.float16)],
)
def test_cards_of_4_gb_draw_with_every_model(device: str, dtype: torch.dtype) -> None:
    """Of 4 GB, the system and the program's own start leave about 3.4."""
    where = Placement(torch.device(device), dtype)
    small = planned(demand(full_size("sd1"), where, 512, 512), 3_400_000_000, calls=2)
    assert (small.unet, small.calls, small.strips) == (1.0, 2, False), "at full speed"
    large = planned(demand(full_size("sdxl"), where, 1024, 1024), 3_400_000_000, calls=2)
    assert 0.3 < large.unet < 0.5, "some of the weights stay"
    assert large.alone
    needed = demand(full_size("sdxl"), where, 1024, 1024)
    assert needed.least < 1_300_000_000
    assert planned(needed, needed.least, calls=2).away
    with pytest.raises(UserError, match="at least"):
        planned(demand(full_size("sdxl"), where, 1024, 1024), 400_000_000, calls=2)


def test_on_apples_gpus_scores_of_attention_take_room() -> None:
    mps, cuda = (demand(full_size("sd1"), Placement(torch.device(name), torch.float16), 512, 512)
                 for name in ("mps", "cuda"))  # fmt: skip
    assert mps.call - cuda.call == 2 * ops.SCORES * 2
    assert mps.whole - cuda.whole == 2 * ops.SCORES * 4, "whose autoencoder may have to work in float32"


@pytest.mark.parametrize("name", ["dml", "privateuseone:0", "directml"])
def test_devices_that_are_not_known_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"no device '{name}' here; this machine has .*cpu"):
        place(name)
