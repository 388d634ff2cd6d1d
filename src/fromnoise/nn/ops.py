"""The layers every network is made of, and the one place where weights meet activations.

Weights stay as they were stored (dtype, device, file mapping, quantised) and are fetched at use: moved to the
activation's device, cast to its dtype, patched. A network file therefore never mentions dtype, device or offloading.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from fromnoise.nn import kernels
from fromnoise.nn.quantized import Quantized, unpacked

FEW = 128  # tokens
TAPS = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]])  # of a row of weights: which meet the same number
WRITTEN_OUT = {"mps"}  # devices on which attention holds all of its scores in memory
SCORES = 1 << 26  # that are held there at once: queries are taken in parts
BLOCK = (
    1 << 24
)  # numbers of a weight that are changed at once: on busy machines threads wait for each other at each block

Product = tuple[Tensor, Tensor, float]  # up (out r), down (r in...) and the factor of what they add: factor up down


class Patch(Protocol):
    """A pure function from a weight (or bias) to the one to use instead (LoRA and its relatives)."""

    def __call__(self, weight: Tensor) -> Tensor: ...


@runtime_checkable
class Adding(Patch, Protocol):
    """A patch that can tell whether it only adds a product."""

    def product(self, shape: torch.Size) -> Product | None:
        """What it does to a weight of this shape, where that is adding a product of two factors and nothing else."""
        ...


def patched(weight: Tensor, patches: Sequence[Patch]) -> Tensor:
    """What patches, one after the other, make of a weight: in float32, or in float64 where the weight is."""
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    if (products := products_of(weight, patches, dtype)) is not None:
        return in_blocks(weight, products, torch.empty(weight.shape, dtype=dtype))
    changed = weight.to(dtype)
    for patch in patches:
        changed = patch(changed)
    return changed


def merged(weight: Tensor, patches: Sequence[Patch]) -> Tensor:
    """The same, rounded once to the dtype of `weight` and in its memory format."""
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    if (products := products_of(weight, patches, dtype)) is not None:
        return in_blocks(weight, products, torch.empty_like(weight))
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return patched(weight, patches).to(weight.dtype).contiguous(memory_format=layout)


def products_of(weight: Tensor, patches: Sequence[Patch], dtype: torch.dtype) -> list[Product] | None:
    """The factors of all patches, in `dtype`, where products are all that they add and the processor does the work."""
    if weight.device.type != "cpu" or isinstance(weight, Quantized):
        return None
    found = []
    for patch in patches:
        product = patch.product(weight.shape) if isinstance(patch, Adding) else None
        if product is None:
            return None
        up, down, factor = product
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (weight, up, down)):
            return None  # in training
        found.append((up.to("cpu", dtype).flatten(1), down.to("cpu", dtype).flatten(1), factor))
    return found


def in_blocks(weight: Tensor, products: Sequence[Product], out: Tensor) -> Tensor:
    """`out`, filled with `weight` and `products`, some rows at a time: each number is read and written once."""
    dtype = products[0][0].dtype if products else weight.dtype
    here = out.dtype == dtype and out.is_contiguous()
    rows = max(1, BLOCK // max(1, weight[0].numel()))
    for start in range(0, len(weight), rows):
        old, new = weight[start : start + rows], out[start : start + rows]
        block = new if here else torch.empty(old.shape, dtype=dtype)
        block.copy_(old)
        flat = block.view(len(block), -1)
        for up, down, factor in products:
            flat.addmm_(up[start : start + rows], down, alpha=factor)
        if not here:
            new.copy_(block)
    return out


class Fetching(nn.Module):
    """Mix-in for layers with `weight` and `bias`: `fetch` returns them ready to meet `x`.

    Both mappings are by the parameter's name and are exchanged whole, never changed: `replaced` has tensors to use in
    place of parameters, and `patches` act at each use on what is used.
    """

    replaced: Mapping[str, Tensor] = {}
    patches: Mapping[str, Sequence[Patch]] = {}
    waits = False  # its weights are elsewhere until they are used: nothing that is made of them is kept

    def reset_parameters(self) -> None:
        """No initialisation: weights come from a checkpoint, or from `train.initialise`."""

    def fetch(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(weight, bias) on the device and in the dtype of `x`."""
        return cast(Tensor, self._ready("weight", x)), self._ready("bias", x)

    def _ready(self, name: str, x: Tensor) -> Tensor | None:
        tensor = self.replaced.get(name)
        if tensor is None:
            tensor = cast(Tensor | None, getattr(self, name))
        if tensor is None:
            return None
        patches = self.patches.get(name)
        if patches:
            tensor = patched(tensor.to(x.device), patches)
        return unpacked(tensor, x.device, x.dtype)


@contextmanager
def patching(network: nn.Module, patches: Mapping[str, Sequence[Patch]]) -> Iterator[None]:
    """Inside, `patches` (by parameter: "out.2.weight") act at every use, after those that are there already."""
    layers = by_layer(network, patches)
    before = {layer: layer.patches for layer in layers}
    try:
        for layer, added in layers.items():
            there = layer.patches
            layer.patches = {**there, **{name: (*there.get(name, ()), *new) for name, new in added.items()}}
        yield
    finally:
        for layer, old in before.items():
            layer.patches = old


@contextmanager
def replacing(network: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, `tensors` (by parameter: "out.2.weight") are used in place of the network's own."""
    with replacing_in(by_layer(network, tensors)):
        yield


@contextmanager
def replacing_in(layers: Mapping["Fetching", Mapping[str, Tensor]]) -> Iterator[None]:
    """The same for tensors that are sorted by layer already."""
    before = {layer: layer.replaced for layer in layers}
    try:
        for layer, added in layers.items():
            layer.replaced = {**layer.replaced, **added}
        yield
    finally:
        for layer, old in before.items():
            layer.replaced = old


@contextmanager
def standing_in(forwards: Iterable[tuple[nn.Module, Callable[..., Tensor]]]) -> Iterator[None]:
    """Modules answer by these functions in place of their own `forward`."""
    with ExitStack() as undo:
        for module, forward in forwards:
            module.forward = forward
            undo.callback(delattr, module, "forward")
        yield


T = TypeVar("T")


class Made(Generic[T]):
    """What is made of a weight, once; it lives as long as the weight does, be that a model's or a LoRA's copy."""

    def __init__(self, make: Callable[[Tensor], T]) -> None:
        self.make = make
        self.kept: MutableMapping[Tensor, tuple[object, T]] = WeakTensorKeyDictionary()  # and what the weight was

    def __call__(self, weight: Tensor, layer: Fetching | None = None) -> T:
        """Not kept where the weights of `layer` wait."""
        if layer is not None and layer.waits:
            return self.make(weight.detach())
        changes = 0 if weight.is_inference() else weight._version  # in place, by an optimizer
        where = weight.data_ptr(), weight.dtype, changes
        there = self.kept.get(weight)
        if there is None or there[0] != where:
            there = self.kept[weight] = where, self.make(weight.detach())
        return there[1]


def by_layer(network: nn.Module, values: Mapping[str, T]) -> dict[Fetching, dict[str, T]]:
    """Values by parameter, sorted by the layer that has it. AttributeError where the network has no such layer."""
    found: dict[Fetching, dict[str, T]] = {}
    for name, value in values.items():
        layer, _, parameter = name.rpartition(".")
        found.setdefault(cast(Fetching, network.get_submodule(layer)), {})[parameter] = value
    return found


class Linear(Fetching, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and self._has_few(x):
            # few rows, such as the moments of several pictures: the kernel, and its rounding, hang on how many
            weight, bias = self.fetch(x)
            return torch.cat([F.linear(row, weight, bias) for row in torch.split(x, 1)])
        return F.linear(x, *self.fetch(x))

    def _has_few(self, x: Tensor) -> bool:
        """Whether the rows of `x` are few, on a processor that does not learn from them."""
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        return x.dim() == 2 and len(x) > 1 and x.device.type == "cpu" and not learns


class Conv2d(Fetching, nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self._conv_forward(x, *self.fetch(x)))

    def fetch(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """With the weight in the layout of `x`: kernels may round otherwise in another, and a file's has only one."""
        weight, bias = super().fetch(x)
        if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
            weight = weight.contiguous(memory_format=torch.channels_last)
        return weight, bias

    def doubled(self, x: Tensor) -> Tensor:
        """A 3x3 convolution of `x` (b c h w) made twice as wide and high by its nearest neighbours: (b c 2h 2w)."""
        return self.doubling(x)(x)

    def doubling(self, x: Tensor, margin: int = 0) -> Callable[[Tensor], Tensor]:
        """The same for `x`, or parts of it one after the other, which bring so many rows of their neighbours along."""
        watched = self._forward_hooks or self._forward_pre_hooks or "forward" in self.__dict__
        if not watched and is_summed(x, self.weight):
            weight, bias = self.fetch(x)
            stays = weight is self.replaced.get("weight", self.weight) and not (self.waits or weight.requires_grad)
            summed = SUMMED(weight) if stays else of_doubled(weight)
            return lambda part: F.conv_transpose2d(part, summed, bias, stride=2, padding=(1 + 2 * margin, 1))

        def doubled(part: Tensor) -> Tensor:
            out: Tensor = self(F.interpolate(part, scale_factor=2, mode="nearest"))
            return out[..., 2 * margin : out.shape[2] - 2 * margin, :]

        return doubled


def is_summed(x: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of what was doubled is faster with weights summed before: where oneDNN does the work."""
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return by_onednn(x.device, x.dtype) and last and not learns


def by_onednn(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN convolves there."""
    known = device.type == "cpu" and dtype in (torch.float32, torch.bfloat16)
    return known and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def of_doubled(weight: Tensor) -> Tensor:
    """(o i 3 3) -> (i o 4 4): what does in one transposed convolution of stride 2 what `weight` does after nearest
    neighbours doubled the picture. A result meets 4 weights, which are sums, in place of 9, some of them twice.
    """
    taps = torch.kron(TAPS, TAPS).flip(1)
    summed = taps @ weight.permute(2, 3, 1, 0).reshape(9, -1).float()
    summed = summed.to(weight.dtype).view(4, 4, *weight.shape[1::-1]).permute(2, 3, 0, 1)
    return summed.contiguous(memory_format=torch.channels_last)


SUMMED = Made(of_doubled)


class GroupNorm(Fetching, nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.fetch(x)
        if torch.is_grad_enabled() and weight.requires_grad and not x.requires_grad and x.dim() == 4:
            # PyTorch 2.13 crashes going backward where x lies channels last and nobody asks for its gradient
            normed = F.group_norm(x.contiguous(), self.num_groups, weight, bias, self.eps)
            return normed.contiguous(memory_format=torch.channels_last) if not x.is_contiguous() else normed
        normed = F.group_norm(x, self.num_groups, weight, bias, self.eps)
        last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        return normed.contiguous(memory_format=torch.channels_last) if last else normed  # as CUDA's kernel does not


class LayerNorm(Fetching, nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, *self.fetch(x), self.eps)


class Embedding(nn.Embedding):
    """A table of vectors. Its output has the stored dtype, unless `ready` names another."""

    ready: torch.dtype | None = None

    def reset_parameters(self) -> None:
        """No initialisation: see `Fetching`."""

    def forward(self, input: Tensor) -> Tensor:
        rows = self.weight.rows(input) if isinstance(self.weight, Quantized) else super().forward(input)
        return rows.to(self.ready or rows.dtype)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool = False) -> Tensor:
    """Multi-head attention; q (b n d), k and v (b m d) -> (b n d).

    Vaswani et al. (2017), "Attention Is All You Need".
    """
    q, k, v = (t.view(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    attend = plain_attention if q.requires_grad and q.device.type == "cpu" and k.shape[2] <= FEW else fused_attention
    return attend(q, k, v, causal).transpose(1, 2).flatten(2)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """q (b heads n d), k and v (b heads m d) -> (b heads n d)."""
    attend = kernels.traced if torch.compiler.is_compiling() else kernels.attention
    out = None if causal else attend(q, k, v)
    if out is not None:
        return out
    if q.device.type in WRITTEN_OUT and not causal:
        rows = max(1, SCORES // (q.shape[0] * q.shape[1] * k.shape[2]))
        return torch.cat([F.scaled_dot_product_attention(part, k, v) for part in torch.split(q, rows, dim=2)], dim=2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """The same, written out: forward and backward take a third of the fused kernel's time on CPUs and few tokens."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if causal:
        scores = scores + scores.new_full(scores.shape[-2:], -torch.inf).triu(1)
    out: Tensor = scores.softmax(dim=-1) @ v
    return out


def tokens_from(x: Tensor) -> Tensor:
    """(b c h w) -> (b h*w c); a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def image_from(tokens: Tensor, height: int, width: int) -> Tensor:
    """(b h*w c) -> (b c h w), channels-last."""
    return tokens.view(len(tokens), height, width, -1).permute(0, 3, 1, 2)
