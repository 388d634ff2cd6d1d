"""Several models become one, tensor by tensor, so that models larger than the memory can be mixed.

merge(["a.safetensors", "b.safetensors"], "c.safetensors", weights=[0.3])                # a + 0.3 (b - a)
merge(["a", "b", "c"], "d.safetensors", method="difference", weights=[1.0])              # a + (b - c)

The rules are those of AUTOMATIC1111's checkpoint merger and of the merge-block-weighted extension; SLERP is Shoemake's
(1985).
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from fromnoise.checkpoints.convert import Layout, Written, layout_of, left_out, stored_as, write_model
from fromnoise.checkpoints.deferred import computed, deferred
from fromnoise.checkpoints.fitting import WrongFamily
from fromnoise.checkpoints.folder_writing import Storing
from fromnoise.checkpoints.hashes import model_hash, old_hash
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.names import State
from fromnoise.checkpoints.opening import Opened, check_place, open_model
from fromnoise.checkpoints.parts import Parts
from fromnoise.checkpoints.save import Report, silent
from fromnoise.errors import UnknownName, UserError
from fromnoise.nn.ops import Patch, patched
from fromnoise.nn.unet import UNetConfig

Method = Literal["sum", "difference", "sigmoid", "inverse-sigmoid", "slerp"]
METHODS: tuple[Method, ...] = get_args(Method)
Baked = Mapping[tuple[str, str], Sequence[Patch]]  # what changes a parameter, by network (unet, text0, text1) and name
Bake = Callable[[Opened], Baked]
FIRST = "input_blocks.0.0.weight"  # of the U-Net: inpainting models have more channels there
AT_ONCE = 1 << 22  # numbers of a tensor that are mixed together
NEARLY_PARALLEL = 0.9995  # beyond this cosine the arc is a line


def merge(
    models: Sequence[Path | str],
    out: Path | str,
    *,
    method: Method = "sum",
    weights: Sequence[float] | None = None,
    blocks: Sequence[float] | None = None,
    vae: Path | str | None = None,
    bake: Bake | None = None,
    ema: bool = False,
    to: Layout | None = None,
    dtype: str | None = None,
    allow_unmatched: bool = False,
    allow_non_finite: bool = False,
    force: bool = False,
    report: Report = silent,
    hashes_kept: Path | None = None,
) -> Written:
    """Write what becomes of `models`; the first is the base, from which everything else is taken.

    method: sum, a + w (b - a), with three models and more their average by as many weights; difference, a + w (b - c);
        sigmoid and inverse-sigmoid, a sum with a bent w; slerp, along the arc between a and b.
    weights: w, or one for each further model; by default a half, and 1 for a difference.
    blocks: a weight for each block of the U-Net, in the order of `blocks_of`; w is then that of everything else.
    vae: a file whose autoencoder is put in. bake: what LoRAs do to the result. One model and a `bake` is no merge at
    all. The other arguments are those of `convert`.

    Raises WrongFamily for models that do not go together, UnmatchedKeys where one lacks what another has; else as
    `convert`.
    """
    out, paths = Path(out), [Path(model) for model in models]
    if weights is None:
        weights = [] if len(paths) == 1 and bake else [1.0 if method == "difference" else 0.5]
    check_arguments(method, len(paths), weights, bake)
    layout = to or layout_of(out)
    if layout not in get_args(Layout):
        raise UnknownName("layout", layout, get_args(Layout))
    storing = stored_as(dtype)
    folder = layout == "diffusers"
    check_place(out, paths, folder=folder, force=force)
    opened = [
        open_model(path, vae=vae if path == paths[0] else None, ema=ema, allow_unmatched=allow_unmatched)
        for path in paths
    ]
    base, *others = opened
    check_kin(opened)
    check_names(base, others, allow_unmatched)
    mix = mixer(method, weights, block_weights(base, blocks))
    baked = bake(base) if bake else {}
    parts = mixed(
        base.parts,
        [other.parts for other in others],
        mix,
        baked,
        exact=dtype is not None,
        own_vae=bool(vae),
        at_once=method == "slerp",
    )
    files = tuple(file for one in opened for file in one.source.files)
    digests = [model_hash(one.source.files, hashes_kept) for one in opened]
    source = replace(
        base.source,
        files=files,
        metadata={**base.source.metadata, **told(opened, digests, method, weights, vae, dtype)},
    )
    result = replace(base, parts=parts, source=source)
    write_model(out, result, layout, storing_of(base, storing, dtype), "", report, allow_non_finite)
    return Written(out, result, left_out(result, layout))


def check_arguments(method: str, count: int, weights: Sequence[float], bake: Bake | None) -> None:
    """UserError where the numbers of models and weights make no sense."""
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    if not all(map(math.isfinite, weights)):
        raise UserError("--weight: give finite numbers")
    if count == 1 and bake is not None:
        return
    wanted = {"difference": (3,), "sum": range(2, 33)}.get(method, (2,))
    if count not in wanted:
        many = "three models" if method == "difference" else "two models" if method != "sum" else "two models or more"
        raise UserError(f"{method} takes {many}, and {count} were given")
    if len(weights) != (count if method == "sum" and count > 2 else 1):
        raise UserError(
            f"{count} models take a weight each, and {len(weights)} were given"
            if method == "sum" and count > 2
            else f"{method} takes one weight, and {len(weights)} were given"
        )


def check_kin(opened: Sequence[Opened]) -> None:
    """WrongFamily where the networks of two models differ in more than the channels that a U-Net is shown."""
    base = opened[0]
    for other in opened[1:]:
        if base.facts is None or other.facts is None:
            raise WrongFamily(f"{(base if base.facts is None else other).path} holds no U-Net; give whole checkpoints")
        more = base.facts.unet.in_channels >= other.facts.unet.in_channels
        unets = [replace(facts.unet, in_channels=4) for facts in (base.facts, other.facts)]
        if base.facts.family != other.facts.family or unets[0] != unets[1]:
            raise WrongFamily(
                f"{base.path} ({base.facts.family}) and {other.path} ({other.facts.family}) have different networks; "
                "only models of one family can be merged"
            )
        if not more:
            raise WrongFamily(f"{other.path} is shown more channels than {base.path}; name it first")


def check_names(base: Opened, others: Sequence[Opened], allow_unmatched: bool) -> None:
    """UnmatchedKeys where a model lacks tensors of another one."""
    own = set(names_of(base.parts))
    for other in others:
        theirs = set(names_of(other.parts))
        missing, unknown = sorted(own - theirs), sorted(theirs - own)
        if (missing or unknown) and not allow_unmatched:
            raise UnmatchedKeys(other.path, unknown, missing, [])


def names_of(parts: Parts) -> Iterator[str]:
    for network, state in networks_of(parts):
        yield from (f"{network}.{name}" for name in state)


def networks_of(parts: Parts) -> list[tuple[str, State]]:
    text = [(f"text{i}", part.state) for i, part in enumerate(parts.text)]
    return [("unet", parts.unet), ("vae", parts.vae), *text, ("vision", parts.vision)]


Mix = Callable[[str, str, Sequence[Tensor]], Tensor]  # (network, name, tensors float32, the base's first) -> float32


def mixer(method: Method, weights: Sequence[float], blocks: Callable[[str, str], float | None]) -> Mix:
    """The function that makes one tensor of several."""

    def ratio(network: str, name: str) -> float:
        own = blocks(network, name)
        w = weights[0] if own is None else own
        if method == "sigmoid":
            return w * w * (3 - 2 * w)
        return 0.5 - math.sin(math.asin(1 - 2 * w) / 3) if method == "inverse-sigmoid" else w

    def mix(network: str, name: str, tensors: Sequence[Tensor]) -> Tensor:
        a, *rest = tensors
        if len(rest) > 1 and method == "sum":
            total = sum(weights)
            return torch.stack([t * (w / total) for t, w in zip(tensors, weights, strict=True)]).sum(dim=0)
        w = ratio(network, name)
        if method == "difference":
            return a + (rest[0] - rest[1]) * w
        return slerp(a, rest[0], w) if method == "slerp" else a + (rest[0] - a) * w

    return mix


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Between two tensors along an arc, as if each were one vector; along a line where they are nearly parallel."""
    lengths = a.double().norm() * b.double().norm()
    cosine = float((a.double() * b.double()).sum() / lengths) if lengths > 0 else 1.0
    if abs(cosine) > NEARLY_PARALLEL:
        return torch.lerp(a, b, t)
    angle = math.acos(cosine)
    return a * (math.sin((1 - t) * angle) / math.sin(angle)) + b * (math.sin(t * angle) / math.sin(angle))


def blocks_of(config: UNetConfig) -> list[str]:
    """The names of a U-Net's blocks in order: 25 for SD 1 and 2, 19 for SDXL, 13 for the built-in model."""
    each = len(config.channel_mult) * (config.res_blocks + 1)
    return [*(f"IN{i:02}" for i in range(each)), "M00", *(f"OUT{i:02}" for i in range(each))]


def block_weights(base: Opened, blocks: Sequence[float] | None) -> Callable[[str, str], float | None]:
    """What finds a parameter's block weight; None for parameters in no block. UserError for a wrong number of them."""
    if blocks is None or base.facts is None:
        return lambda network, name: None
    names = blocks_of(base.facts.unet)
    if len(blocks) != len(names):
        raise UserError(
            f"--blocks takes {len(names)} numbers for this family ({names[0]} to {names[-1]}), "
            f"and {len(blocks)} were given"
        )
    table = dict(zip(names, blocks, strict=True))
    first, last = names[0], names[-1]

    def found(network: str, name: str) -> float | None:
        if network != "unet":
            return None
        part, _, rest = name.partition(".")
        number = rest.partition(".")[0]
        if part == "middle_block":
            return table["M00"]
        if part in ("time_embed", "label_emb"):
            return table[first]
        if part == "out":
            return table[last]
        return table[f"{'IN' if part == 'input_blocks' else 'OUT'}{int(number):02}"]

    return found


def mixed(
    base: Parts, others: Sequence[Parts], mix: Mix, baked: Baked, *, exact: bool, own_vae: bool, at_once: bool
) -> Parts:
    """The parts of the result; every tensor is made when it is written.

    exact: in float32, to be rounded once when they are written; else in the dtype of the base. own_vae: the base's
    autoencoder stays as it is. at_once: the mix must see whole tensors, not rows of them.
    """
    theirs = [dict(networks_of(other)) for other in others]

    def state(network: str, own: State) -> dict[str, Tensor]:
        if network in ("vision",) or (network == "vae" and own_vae):
            return dict(own)
        return {
            name: made(
                network, name, [tensor, *(other[network][name] for other in theirs if name in other.get(network, {}))]
            )
            for name, tensor in own.items()
        }

    def made(network: str, name: str, tensors: Sequence[Tensor]) -> Tensor:
        patches = tuple(baked.get((network, name), ()))
        whole = len(tensors) == len(others) + 1 and bool(others)
        if not tensors[0].is_floating_point() or not (whole or patches):
            return tensors[0]
        dtype = torch.float32 if exact else tensors[0].dtype

        def now() -> Tensor:
            all_ = [computed(tensor) for tensor in tensors]
            if whole and not patches and not at_once:
                return in_rows(lambda rows: onto(rows[0], rows, network, name), all_, dtype)
            first = all_[0].float()
            if whole:
                first = onto(first, [first, *(tensor.float() for tensor in all_[1:])], network, name)
            return (patched(first, patches) if patches else first).to(dtype)

        return deferred(now, tensors[0].shape, dtype)

    def onto(first: Tensor, all_: Sequence[Tensor], network: str, name: str) -> Tensor:
        """The mix; of channels that only the base is shown, the base's own."""
        fewest = min(tensor.shape[1] for tensor in all_) if name == FIRST and network == "unet" else None
        if fewest is None or fewest == first.shape[1]:
            return mix(network, name, all_)
        return torch.cat((mix(network, name, [tensor[:, :fewest] for tensor in all_]), first[:, fewest:]), dim=1)

    made_states = {network: state(network, own) for network, own in networks_of(base)}
    return replace(
        base,
        unet=made_states["unet"],
        vae=made_states["vae"],
        text=tuple(replace(part, state=made_states[f"text{i}"]) for i, part in enumerate(base.text)),
    )


def in_rows(mix: Callable[[Sequence[Tensor]], Tensor], tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """What `mix` makes of tensors in float32, some rows at a time: tables of words are hundreds of megabytes."""
    first = tensors[0]
    if first.numel() <= AT_ONCE or first.ndim < 2:
        return mix([tensor.float() for tensor in tensors]).to(dtype)
    out = torch.empty(first.shape, dtype=dtype)
    step = max(1, AT_ONCE * len(first) // first.numel())
    for start in range(0, len(first), step):
        out[start : start + step] = mix([tensor[start : start + step].float() for tensor in tensors])
    return out


def storing_of(base: Opened, storing: Storing, dtype: str | None) -> Storing:
    """Without a dtype every tensor is stored as the base's is."""
    return storing if dtype is not None else lambda name, tensor, part: tensor.dtype


def told(
    opened: Sequence[Opened], digests: Sequence[str], method: str, weights: Sequence[float], vae: Path | str | None,
    dtype: str | None,
) -> dict[str, str]:  # fmt: skip
    """The metadata that AUTOMATIC1111 writes of a merge: what it was made of, and how."""
    slots = dict(zip(("primary", "secondary", "tertiary"), digests, strict=False))
    recipe = {
        "type": "fromnoise",
        **{f"{slot}_model_hash": slots.get(slot) for slot in ("primary", "secondary", "tertiary")},
        "interp_method": METHOD_NAMES.get(method, method),
        "multiplier": weights[0] if len(weights) == 1 else list(weights),
        "save_as_half": dtype == "fp16",
        "bake_in_vae": Path(vae).name if vae else None,
    }
    models: dict[str, dict[str, object]] = {}
    for one, digest in zip(opened, digests, strict=True):
        file = one.source.files[0]
        models[digest] = {"name": one.path.name, "legacy_hash": old_hash(file), "sd_merge_recipe": None}
        with_own = one.source.metadata.get("sd_merge_models")
        if with_own:
            models |= read_models(with_own)
    return {"sd_merge_recipe": json.dumps(recipe), "sd_merge_models": json.dumps(models)}


METHOD_NAMES = {"sum": "Weighted sum", "difference": "Add difference"}


def read_models(text: str) -> dict[str, dict[str, object]]:
    """What an earlier merge was made of; nothing where the text is not ours to understand."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
