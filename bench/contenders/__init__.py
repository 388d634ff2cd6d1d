"""Who competes: fromnoise in its modes, and the peers, each as it comes and tuned.

A contender prepares a job and gives a function that does it once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from bench.work import Job
from fromnoise.allocator import GLIBC_KEEPS_MEMORY

Work = Callable[[], Mapping[str, float] | None]


@dataclass(frozen=True)
class Contender:
    """`module:function` prepares a job; `options` go to it; `environment` is the process's."""

    name: str
    what: str
    function: str
    options: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, job: Job) -> Work:
        module, function = self.function.split(":")
        work: Work = getattr(import_module(f"bench.contenders.{module}"), function)(job, **self.options)
        return work


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("fromnoise", "as it comes from launch.py", "ours:prepare", environment=GLIBC_KEEPS_MEMORY),
        Contender(
            "fromnoise-reuse", "all of the network at every third step alone (picture, with its PSNR)",
            "ours:prepare", {"lossy": {"step_reuse": {}}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-merging", "half of the tokens merged (picture, with its PSNR)",
            "ours:prepare", {"lossy": {"token_merging": {}}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-int8", "products of 8-bit integers (step, and picture with its PSNR)", "ours:prepare",
            {"lossy": {"int8": True}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-fp8", "products of 8-bit floats (step; on GPUs, picture with its PSNR)",
            "ours:prepare", {"lossy": {"fp8": True}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-compiled", "blocks compiled (step, and picture with its PSNR)", "ours:prepare",
            {"lossy": {"compile": True}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-graphs", "recorded graphs, and pictures decoded aside (GPUs)", "ours:prepare",
            {"trials": True}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-graphs-compiled", "recorded graphs of compiled blocks (GPUs)", "ours:prepare",
            {"trials": True, "lossy": {"compile": True}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender(
            "fromnoise-graphs-fp8", "recorded graphs with products of 8-bit floats (GPUs)", "ours:prepare",
            {"trials": True, "lossy": {"fp8": True}}, GLIBC_KEEPS_MEMORY,
        ),
        Contender("fromnoise-float32", "the same in float32", "ours:prepare", {"dtype": "float32"}, GLIBC_KEEPS_MEMORY),
        Contender(
            "fromnoise-ready", "all weights brought into memory (load)", "ours:prepare", {"ready": True},
            GLIBC_KEEPS_MEMORY,
        ),
        Contender("fromnoise-strips", "decode strip by strip", "ours:prepare", {"strips": True}, GLIBC_KEEPS_MEMORY),
        Contender(
            "fromnoise-unsummed", "convolutions after up-sampling as they are written (decode, step)", "ours:prepare",
            {"summed": False}, GLIBC_KEEPS_MEMORY,
        ),
        Contender("diffusers", "bfloat16, channels-last", "peer_diffusers:prepare", {"channels_last": True}),
        Contender(
            "diffusers-malloc", "the same with fromnoise's allocator settings", "peer_diffusers:prepare",
            {"channels_last": True}, GLIBC_KEEPS_MEMORY,
        ),
        Contender("diffusers-float32", "as installed", "peer_diffusers:prepare", {"dtype": "float32"}),
        Contender(
            "diffusers-compiled", "bfloat16, channels-last, inductor with freezing", "peer_diffusers:prepare",
            {"channels_last": True, "compiled": True}, {**GLIBC_KEEPS_MEMORY, "TORCHINDUCTOR_FREEZING": "1"},
        ),
        Contender(
            "diffusers-tuned", "the same by inductor's longest search (max-autotune; GPUs)", "peer_diffusers:prepare",
            {"channels_last": True, "compiled": "max-autotune"},
        ),
        Contender(
            "diffusers-graphs", "the same by inductor with graphs (reduce-overhead; GPUs)", "peer_diffusers:prepare",
            {"channels_last": True, "compiled": "reduce-overhead"},
        ),
        Contender("openvino", "diffusers' networks converted (step, batch, decode)", "peer_openvino:prepare"),
    )
}  # fmt: skip
