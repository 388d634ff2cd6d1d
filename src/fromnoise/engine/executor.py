"""The only caller of the network: it answers the calls of one or many pictures, packed into batches.

Pictures at different steps, with different samplers and guidance, share a batch whenever their calls have the same key.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from fromnoise.adapters.patched import Patched
from fromnoise.engine.blame import BrokenWeights, Overflow, all_finite, blamed, finite
from fromnoise.engine.company import Round, Seat
from fromnoise.engine.doubts import Doubts
from fromnoise.engine.graphs import Inputs, may_be_recorded
from fromnoise.engine.library import Model
from fromnoise.errors import is_out_of_memory
from fromnoise.nn.compiled import Compiled
from fromnoise.nn.fp8 import Fp8
from fromnoise.nn.step_reuse import StepReuse
from fromnoise.nn.unet import guidance_embedding
from fromnoise.sampling.guidance import NetworkCall, Picture
from fromnoise.sampling.parametrization import network_input, to_denoised
from fromnoise.sampling.schedules import TimestepRule

Name = TypeVar("Name", bound=Hashable)


@dataclass
class Executor(Generic[Name]):
    """Runs pictures side by side on one model; `add` more at any time, as others finish."""

    model: Model
    max_batch: int = 8  # network calls in one batch
    refiner: Model | None = None  # answers the calls that ask for it
    batches: int = 0  # sent so far
    waiting: dict[Name, tuple[Picture, Sequence[NetworkCall]]] = field(default_factory=dict)
    finished: dict[Name, Tensor] = field(default_factory=dict)  # handed out by the next step
    company: dict[Name, list[Round]] = field(default_factory=dict)  # the batches that pictures were in
    doubts: Doubts = field(default_factory=Doubts)  # answers on a GPU that may be no numbers

    def add(self, name: Name, picture: Picture) -> None:
        """Start `picture`; it advances with the next `step`."""
        self.company[name] = []
        try:
            self.waiting[name] = (picture, next(picture))
        except StopIteration as stop:  # it needs no network
            self.finished[name] = stop.value

    def cancel(self, name: Name) -> None:
        """Drop a picture that is under way."""
        self.finished.pop(name, None)
        self.company.pop(name, None)
        if name in self.waiting:
            self.waiting.pop(name)[0].close()

    def step(self) -> Mapping[Name, Tensor]:
        """Advance every picture by one evaluation; the latents (1 c h w) of those that have finished."""
        answers = iter(self.answered([call for _, calls in self.waiting.values() for call in calls]))
        finished, self.finished = self.finished, {}
        for name, (picture, calls) in list(self.waiting.items()):
            given = [next(answers) for _ in calls]
            self.company[name].append(tuple(seat for _, seat in given))
            try:
                self.waiting[name] = (picture, picture.send([answer for answer, _ in given]))
            except StopIteration as stop:
                del self.waiting[name]
                finished[name] = stop.value
        if finished:
            self.doubts.settle()
        return finished

    def run(self) -> Iterator[tuple[Name, Tensor]]:
        """Advance until nothing waits; (name, latents) as each picture finishes."""
        while self.waiting or self.finished:
            yield from self.step().items()

    def answer(self, calls: Sequence[NetworkCall]) -> list[Tensor]:
        """Guesses of the clean latents, in the order of `calls`."""
        answers = [answer for answer, _ in self.answered(calls)]
        self.doubts.settle()
        return answers

    @torch.inference_mode()
    def answered(self, calls: Sequence[NetworkCall]) -> list[tuple[Tensor, Seat]]:
        """The guesses, each with where its call was in its batch."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, call in enumerate(calls):
            groups.setdefault(call.key, []).append(i)
        answers: dict[int, tuple[Tensor, Seat]] = {}
        for members in groups.values():
            answers.update(zip(members, self._batched([calls[i] for i in members]), strict=True))
        return [answers[i] for i in range(len(calls))]

    @torch.inference_mode()
    def seated(self, calls: Sequence[NetworkCall], seats: Round) -> list[Tensor]:
        """The guesses of calls in these places of batches of these sizes; copies of a call take the other places."""
        batches: list[tuple[list[NetworkCall], list[int]]] = []  # who sits where, and the places taken, in order
        for call, (place, size) in zip(calls, seats, strict=True):
            table, taken = batches[-1] if batches else ([], [])
            if not taken or table[0].key != call.key or len(table) != size or place <= taken[-1]:
                table, taken = [copied(call)] * size, []
                batches.append((table, taken))
            table[place] = call
            taken.append(place)
        found = [answers[place][0] for table, taken in batches for answers in [self._batched(table)] for place in taken]
        self.doubts.settle()
        return found

    def _batched(self, calls: Sequence[NetworkCall]) -> list[tuple[Tensor, Seat]]:
        """Calls of one key in batches that there is room for; smaller ones where that was too optimistic."""
        model = self._asked(calls)
        most = min(self.max_batch, model.calls)
        if len(calls) > most:
            return [answer for i in range(0, len(calls), most) for answer in self._batched(calls[i : i + most])]
        try:
            with model.drawing():
                answers = torch.split(self._denoise(calls), 1)
            return [(answer, Seat(place, len(calls))) for place, answer in enumerate(answers)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = error.with_traceback(None)  # which would hold what the network had made
        if not model.tighten(len(calls)):
            raise reason
        return self._batched(calls)

    def _asked(self, calls: Sequence[NetworkCall]) -> Model:
        return self.refiner if calls[0].cond.refiner and self.refiner else self.model

    def _denoise(self, calls: Sequence[NetworkCall]) -> Tensor:
        """One batch through the network: float32 latents in, float32 guesses out where they came from."""
        self.batches += 1
        model = self._asked(calls)
        place = model.placement
        x = place.bring(torch.cat([call.x for call in calls]))
        sigma = torch.stack([call.sigma for call in calls]).float()
        times = place.bring(network_times(model, sigma, calls))
        sigma = place.bring(sigma)  # afterwards: whatever is looked up there waits for the device
        scalings = model.scalings(sigma)
        shown = network_input(x, scalings)
        if calls[0].cond.concat is not None:
            extra = torch.cat([c.cond.concat for c in calls if c.cond.concat is not None])
            shown = torch.cat((shown, place.bring(extra)), dim=1)
        if place.channels_last:
            shown = shown.contiguous(memory_format=torch.channels_last)
        y = torch.cat([c.cond.y for c in calls if c.cond.y is not None]) if calls[0].cond.y is not None else None
        guidance, dim = None, model.unet.config.guidance_dim
        if dim is not None:
            scales = torch.tensor([1.0 if c.cond.guidance is None else c.cond.guidance for c in calls])
            guidance = place.bring(guidance_embedding(scales, dim), place.dtype)
        inputs = (
            shown.to(place.dtype),
            times,
            place.bring(torch.cat([call.cond.context for call in calls]), place.dtype),
            None if y is None else place.bring(y, place.dtype),
            guidance,
        )
        out = self._through(model, calls, inputs).to(x.dtype)
        denoised, readings = out[:, : x.shape[1]], out[:, x.shape[1] :]
        answers = torch.cat((to_denoised(denoised, x, scalings), readings), dim=1).to(calls[0].x.device)
        if answers.device.type != "cpu":
            self.doubts.add(self.batches, finite(x) & ~finite(answers), partial(blamed_for, model, calls))
        elif not all_finite(answers) and all_finite(x):
            raise blamed_for(model, calls)
        return answers

    def _through(self, model: Model, calls: Sequence[NetworkCall], inputs: Inputs) -> Tensor:
        """The network's answer, by a recorded graph where the device has them and nothing but LoRAs changes it."""
        variants, graphs = calls[0].variants, model.graphs
        loras = [one for one in variants if isinstance(one, Patched) and one.copies.room]
        # graphs hold the numbers that 8-bit floats make of weights, which a LoRA's would not be
        code = [one for one in variants if isinstance(one, Compiled) or (isinstance(one, Fp8) and not loras)]
        plain = len(variants) == len(loras) + len(code) and len(loras) < 2 and not calls[0].cond.attached
        *first, guidance = inputs
        with ExitStack() as stack:
            if graphs is not None and plain and may_be_recorded(graphs.parts):
                for one in code:
                    stack.enter_context(one.applied(model.unet))
                name, layers = (loras[0], loras[0].layers(model.unet)) if loras else (None, None)
                return graphs(inputs, name, layers, kind=tuple(type(one) for one in code))
            for variant in variants:
                stack.enter_context(variant.applied(model.unet))
            for alike in zip(*(call.cond.attached for call in calls), strict=True):
                stack.enter_context(alike[0].applied(model.unet, alike))
            out: Tensor = model.unet(*first, guidance=guidance)
            return out


def network_times(model: Model, sigma: Tensor, calls: Sequence[NetworkCall]) -> Tensor:
    """(b): what the network is told of the noise levels (b) of calls, each looked up once."""
    asked = list(zip(sigma.tolist(), (call.cond.timestep for call in calls), strict=True))
    known: dict[tuple[float, TimestepRule], Tensor] = {}
    for key, level in zip(asked, sigma, strict=True):
        if key not in known:
            known[key] = model.table.network_time(level, key[1])
    return torch.stack([known[key] for key in asked])


def blamed_for(model: Model, calls: Sequence[NetworkCall]) -> BrokenWeights | Overflow:
    """The error for answers to calls that are no numbers though what was asked is: the U-Net's fault, or the text's."""
    told = all_finite(*(call.cond.context for call in calls), *(call.cond.y for call in calls))
    weights = [model.stored(one) for one in ((model.unet,) if told else model.text)]
    return blamed(model.name, "U-Net" if told else "text encoder", weights, model.placement.dtype)


def copied(call: NetworkCall) -> NetworkCall:
    """A copy of `call` that is answered besides it, and keeps nothing of what the network makes there."""
    attached = tuple(one.copied() if isinstance(one, StepReuse) else one for one in call.cond.attached)
    return call._replace(cond=replace(call.cond, attached=attached)) if attached else call
