"""ComfyUI's sampling nodes: KSampler and its kin, and custom samplers put together from parts."""

from collections.abc import Iterator

from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.draft import Draft
from fromnoise.sampling.schedules import SCHEDULES

SEED_INPUTS = ("seed", "noise_seed")
PERP_NEG = "PerpNegGuider"
CUSTOM = ("SamplerCustom", "SamplerCustomAdvanced")
SAMPLER_NODES = {  # that stand for a sampler of their own, with its options as inputs
    "SamplerEulerAncestral": "euler_ancestral",
    "SamplerEulerAncestralCFGPP": "euler_ancestral_cfg_pp",
    "SamplerEulerCFGpp": "euler_cfg_pp",
    "SamplerLMS": "lms",
    "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde",
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
    "SamplerDPMPP_SDE": "dpmpp_sde",
    "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
    "SamplerDPMAdaptative": "dpm_adaptive",
    "SamplerER_SDE": "er_sde",
    "SamplerSASolver": "sa_solver",
}
SCHEDULE_NODES = {
    "KarrasScheduler": "karras",
    "ExponentialScheduler": "exponential",
    "PolyexponentialScheduler": "polyexponential",
    "BetaSamplingScheduler": "beta",
    "SDTurboScheduler": "turbo",
    "AlignYourStepsScheduler": "align_your_steps",
    "GITSScheduler": "gits",
}
USUAL = {  # values of schedule nodes that say nothing new
    "steps", "denoise", "scheduler", "model_type", "alpha", "beta", "sigma_max", "sigma_min", "rho", "coeff",
}  # fmt: skip
USUAL_VALUES = (14.614642, 0.0291675, 7.0, 0.6, 1.0, 1.2)


def is_sampler(node: Node) -> bool:
    """Whether a node turns noise into latents: ComfyUI's own, and others that have the same inputs."""
    inputs = {*node.values, *node.links}
    plain = {"steps", "sampler_name"} <= inputs and not inputs.isdisjoint(SEED_INPUTS)
    return plain or node.kind in CUSTOM


def take_sampling(draft: Draft, graph: Graph, node: Node) -> None:
    """Seed, steps, guidance, sampler and schedule."""
    if node.kind in CUSTOM:
        take_custom(draft, graph, node)
        return
    draft.sampler(str(graph.value(node, "sampler_name")), "sampler_name")
    if "scheduler" in node.values or "scheduler" in node.links:
        draft.schedule(str(graph.value(node, "scheduler")), "scheduler")
    take_numbers(draft, graph, node, {"steps": "steps", "cfg": "guidance_scale"})
    take_seed(draft, graph, node)
    if node.values.get("add_noise", "enable") != "enable":
        draft.keep(f"{node.kind} {node.id} add_noise", node.values["add_noise"])


def take_numbers(draft: Draft, graph: Graph, node: Node, names: dict[str, str]) -> None:
    for name, field in names.items():
        value = graph.value(node, name)
        if value is not None:
            draft.set(field, value, f"{node.kind}.{name}")


def take_seed(draft: Draft, graph: Graph, node: Node) -> None:
    """From the node or its noise."""
    noise = graph.source(node, "noise")
    value = graph.value(noise or node, *SEED_INPUTS)
    if value is not None:
        draft.set("seed", value, f"{(noise or node).kind}.seed")


def take_custom(draft: Draft, graph: Graph, node: Node) -> None:
    """A sampler and sigmas from nodes of their own, guidance perhaps from a guider."""
    take_seed(draft, graph, node)
    guider = graph.source(node, "guider")
    take_numbers(draft, graph, guider or node, {"cfg": "guidance_scale"})
    if guider and guider.kind == "BasicGuider":
        draft.set("guidance_scale", 1.0, guider.kind)
    if guider and guider.kind == PERP_NEG:
        scale = graph.value(guider, "neg_scale")
        draft.part("guidance", "perp_neg", {} if scale is None else {"weight": scale}, guider.kind)
    noise = graph.source(node, "noise")
    if noise is not None and noise.kind != "RandomNoise":
        draft.keep(f"{noise.kind} {noise.id}", noise.values)
    if sampler := graph.source(node, "sampler"):
        take_sampler_node(draft, graph, sampler)
    for scheduler in chain(graph, node, "sigmas"):
        take_schedule_node(draft, graph, scheduler)


def take_sampler_node(draft: Draft, graph: Graph, node: Node) -> None:
    """KSamplerSelect, or one of the nodes that have a sampler's options."""
    if "sampler_name" in node.values or "sampler_name" in node.links:
        draft.sampler(str(graph.value(node, "sampler_name")), "sampler_name")
        return
    if not draft.sampler(SAMPLER_NODES.get(node.kind, node.kind), node.kind):
        return
    for name in node.values:
        if name != "noise_device":
            draft.option(name, graph.value(node, name), f"{node.kind}.{name}")


def take_schedule_node(draft: Draft, graph: Graph, node: Node) -> None:
    """A node that makes sigmas or changes them."""
    name = str(graph.value(node, "scheduler")) if node.kind == "BasicScheduler" else SCHEDULE_NODES.get(node.kind)
    if name is None:
        draft.keep(f"{node.kind} {node.id}", node.values)
        return
    if node.kind == "AlignYourStepsScheduler" and node.values.get("model_type") == "SDXL":
        name = "align_your_steps_sdxl"
    draft.schedule(name, node.kind)
    take_numbers(draft, graph, node, {"steps": "steps"})
    has = SCHEDULES[str(draft.fields["schedule"])].options if draft.fields.get("schedule") else ()
    odd = {key: v for key, v in node.values.items() if key not in USUAL or not usual(key, v)}
    for key in [key for key in odd if key in has]:
        draft.part("schedule_options", key, odd.pop(key), f"{node.kind}.{key}")
    if odd:
        draft.keep(f"{node.kind} {node.id}", odd)


def usual(name: str, value: object) -> bool:
    return name in ("steps", "scheduler", "model_type") or value in USUAL_VALUES


def chain(graph: Graph, node: Node, name: str) -> Iterator[Node]:
    """The nodes that lie one behind the other on an input of the same name, at most MAX_DEPTH."""
    current = graph.source(node, name)
    for _ in range(MAX_DEPTH):
        if current is None:
            return
        yield current
        current = graph.source(current, name)
