"""Recorded calls: which are recorded and when, what they read, and that pictures come out the same."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.engine import graphs as graphs_module
from fromnoise.engine.generate import generate
from fromnoise.engine.graphs import CudaRecorder, Graphs, graphs_for, may_be_recorded, of_unet
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.residence import Residence
from fromnoise.nn import fp8
from fromnoise.nn.ops import Fetching, Linear, replacing_in
from tests.engine.models import tiny_model
from tests.engine.test_networks import write_lora

RECIPE = Recipe.make(prompt="a red apple", width=64, height=64, steps=4, sampler="euler", guidance_scale=4.0)


@dataclass
class Fake:
    """Runs again what it recorded, from the same tensors as then, as a graph does."""

    network: nn.Module
    recorded: int = 0
    replayed: int = 0
    fails: list[Exception] = field(default_factory=list)

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        if self.fails:
            raise self.fails.pop()
        self.recorded += 1
        layers = [layer for layer in self.network.modules() if isinstance(layer, Fetching)]
        seen = {layer: dict(layer.replaced) for layer in layers}
        out = torch.zeros_like(run())

        def replay() -> None:
            self.replayed += 1
            with replacing_in(seen):
                out.copy_(run())

        return replay, out


def layer() -> Linear:
    made = Linear(4, 4)
    made.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    made.bias.data.zero_()
    return made.requires_grad_(False)


def test_places_for_weights_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, made = layer(), []
    graphs, own = Graphs(net, Fake(net)), graphs_module.copied
    monkeypatch.setattr(graphs_module, "copied", lambda layers: made.append(layers) or own(layers))
    for name in ("a", "b", "a", "b"):
        graphs((torch.ones(1, 4),), name, {net: {"weight": torch.ones(4, 4)}})
    assert len(made) == 1


def test_what_is_asked_for_again_is_recorded() -> None:
    net = layer()
    fake = Fake(net)
    graphs = Graphs(net, fake)
    for turn in range(4):
        x = torch.randn(2, 4)
        assert torch.equal(graphs([x]), net(x))
        assert (fake.recorded, fake.replayed) == (min(turn, 1), turn + min(turn, 1)), "once more, to be checked"


def test_answers_are_the_callers_own() -> None:
    net = layer()
    graphs = Graphs(net, Fake(net))
    shown = [torch.full((1, 4), float(n)) for n in range(5)]
    answers = [graphs([x]) for x in shown]
    assert all(torch.equal(answer, net(x)) for answer, x in zip(answers, shown, strict=True))


def test_every_shape_has_its_graph_and_those_used_last_stay() -> None:
    net = layer()
    fake = Fake(net)
    graphs = Graphs(net, fake, most=2)
    for size in (1, 2, 3, 3, 2, 1):
        for _ in range(2):
            x = torch.randn(size, 4)
            assert torch.equal(graphs([x]), net(x))
    assert len(graphs.graphs) == 2
    assert fake.recorded == 4, "1, 2, 3, and 1 again"


def test_another_lora_on_the_same_layers_needs_no_other_graph() -> None:
    net = layer()
    own = net.weight.clone()
    fake = Fake(net)
    graphs, x = Graphs(net, fake), torch.randn(2, 4)
    for name in ("a", "b", "a", "b", "a"):
        weights = {net: {"weight": own + (1.0 if name == "a" else -1.0)}}
        with replacing_in(weights):
            wanted = net(x)
        assert torch.equal(graphs([x], name, weights), wanted)
    assert fake.recorded == 1
    assert torch.equal(graphs([x]), net(x)), "without any, in a bucket of its own"
    assert torch.equal(net.weight, own)
    assert not net.replaced


def test_places_of_weights_go_with_the_last_graph_that_reads_them() -> None:
    nets = [layer() for _ in range(4)]
    whole = nn.Sequential(*nets)
    graphs, x = Graphs(whole, Fake(whole), most=2), torch.randn(2, 4)
    for net in nets:
        weights = {net: {"weight": net.weight + 1}}
        for _ in range(3):
            graphs([x], "a", weights)
        assert len(graphs.slots) <= 2
    assert {places[0][0] for places in graphs.slots} == {id(nets[2]), id(nets[3])}


def test_kinds_of_calls_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fromnoise.engine.graphs.KINDS", 3)
    net = layer()
    graphs = Graphs(net, Fake(net))
    for size in range(1, 9):
        for _ in range(2):
            graphs([torch.randn(size, 4)])
    assert len(graphs.asked) <= 9
    assert len(graphs.graphs) == 8


def test_8_bit_floats_are_recorded_but_not_with_loras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "FEW", 0)
    monkeypatch.setattr(fp8, "NARROW", 16)
    monkeypatch.setattr(fp8, "is_there", lambda device: True)
    model = tiny_model()
    write_lora(model, tmp_path / "a.safetensors", seed=1)
    fast, fake = recording(model)
    use = NetworkUse(kind="lora", name=str(tmp_path / "a.safetensors"))
    for recipe, recorded in ((RECIPE, 1), (RECIPE.but(fp8=True), 2), (RECIPE.but(fp8=True, networks=[use]), 2)):
        (wanted,), (made,) = generate(model, [recipe]), generate(fast, [recipe])
        assert made.image.tobytes() == wanted.image.tobytes()
        assert fake.recorded == recorded


def test_what_cannot_be_recorded_goes_on_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    net = layer()
    fake = Fake(net, fails=[RuntimeError("operation not permitted when stream is capturing")])
    graphs, x = Graphs(net, fake), torch.randn(2, 4)
    for _ in range(4):
        assert torch.equal(graphs([x]), net(x))
    assert fake.recorded == 0
    assert len(caplog.messages) == 1
    assert "could not be recorded" in caplog.messages[0]


def test_a_recording_that_answers_otherwise_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    net, x = layer(), torch.randn(2, 4)

    class Wrong(Fake):
        def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
            return lambda: None, run() * 1.1

    graphs = Graphs(net, Wrong(net))
    for _ in range(3):
        assert torch.equal(graphs([x]), net(x))
    assert len(caplog.messages) == 1
    assert "its answers differ" in caplog.messages[0]


def test_too_little_memory_for_a_graph_is_told() -> None:
    net = layer()
    graphs, x = Graphs(net, Fake(net, fails=[torch.OutOfMemoryError("CUDA out of memory")])), torch.randn(2, 4)
    graphs([x])
    with pytest.raises(torch.OutOfMemoryError):
        graphs([x])


def test_hooks_and_patches_keep_a_network_from_being_recorded() -> None:
    net = nn.Sequential(layer())
    parts = tuple(net.modules())
    assert may_be_recorded(parts)
    hook = net[0].register_forward_hook(lambda *_: None)
    assert not may_be_recorded(parts)
    hook.remove()
    net[0].patches = {"weight": (lambda weight: weight,)}
    assert not may_be_recorded(parts)


def recording(model: Model) -> tuple[Model, Fake]:
    fake = Fake(model.unet)
    return replace(model, kept=replace(model.kept, graphs=of_unet(model.unet, fake))), fake


def test_pictures_are_the_same(tmp_path: Path) -> None:
    model = tiny_model()
    for name, seed in (("a", 1), ("b", 2)):
        write_lora(model, tmp_path / f"{name}.safetensors", seed=seed)
    fast, fake = recording(model)
    for name in ("", "a", "b", "a"):
        uses = [NetworkUse(kind="lora", name=str(tmp_path / f"{name}.safetensors"))] if name else []
        recipe = RECIPE.but(networks=uses)
        (wanted,), (made,) = generate(model, [recipe]), generate(fast, [recipe])
        assert made.image.tobytes() == wanted.image.tobytes()
    assert fake.recorded == 2, "one without, and one for both LoRAs"
    assert fake.replayed == 2 + 3 + 3 + 4 + 4
    assert may_be_recorded(model.unet.modules())


def test_what_changes_more_than_weights_is_not_recorded() -> None:
    model = tiny_model()
    fast, fake = recording(model)
    recipe = RECIPE.but(free_u={"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2})
    (wanted,), (made,) = generate(model, [recipe]), generate(fast, [recipe])
    assert made.image.tobytes() == wanted.image.tobytes()
    assert fake.recorded == 0


def test_hooks_are_seen_whenever_they_come() -> None:
    model = tiny_model()
    fast, fake = recording(model)
    list(generate(fast, [RECIPE]))
    replayed = fake.replayed
    assert replayed
    hook = model.unet.middle_block.register_forward_hook(lambda *_: None)
    (wanted,), (made,) = generate(model, [RECIPE]), generate(fast, [RECIPE])
    hook.remove()
    assert made.image.tobytes() == wanted.image.tobytes()
    assert fake.replayed == replayed


def test_graphs_are_recorded_anew_where_weights_were_moved() -> None:
    model, fake = recording(tiny_model())
    residence = Residence(model.unet, model.text, model.vae, model.placement)
    model = replace(model, residence=residence)
    for recorded in (1, 1, 2):
        if recorded == 2:
            residence.step_aside()
        list(generate(model, [RECIPE]))
        assert fake.recorded == recorded


def test_graphs_go_where_memory_is_short() -> None:
    model, _ = recording(tiny_model())

    class Residence:
        def tighten(self, calls: int) -> object:
            return object()

    model = replace(model, residence=Residence())  # type: ignore[arg-type]
    assert model.tighten(1)
    assert model.kept.graphs is None


def test_other_devices_have_none() -> None:
    assert graphs_for(tiny_model().unet, torch.device("cpu")) is None


def test_a_recording_is_warmed_up_aside_and_shares_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []

    class Stream:
        def __init__(self, name: object = "aside") -> None:
            self.name = "aside" if isinstance(name, torch.device) else name

        def wait_stream(self, other: "Stream") -> None:
            notes.append(f"{self.name} waits for {other.name}")

    class CUDAGraph:
        def pool(self) -> tuple[int, int]:
            return (0, 7)

        def replay(self) -> None:
            notes.append("replay")

    @contextmanager
    def graph(made: CUDAGraph, pool: object, capture_error_mode: str):  # type: ignore[no-untyped-def]
        assert capture_error_mode == "thread_local"
        notes.append(f"record into {pool}")
        yield

    @contextmanager
    def stream(given: Stream):  # type: ignore[no-untyped-def]
        notes.append(f"on {given.name}")
        yield

    for name, one in {"Stream": Stream, "CUDAGraph": CUDAGraph, "graph": graph, "stream": stream}.items():
        monkeypatch.setattr(torch.cuda, name, one)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("current"))
    recorder = CudaRecorder(torch.device("cuda"))

    def run() -> Tensor:
        notes.append("run")
        return torch.zeros(1)

    replay, _ = recorder.record(run)
    replay()
    recorder.record(run)
    once = ["aside waits for current", "on aside", "run", "run", "current waits for aside"]
    assert notes == [*once, "record into None", "run", "replay", *once, "record into (0, 7)", "run"]
