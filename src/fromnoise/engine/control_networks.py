"""Control networks by name: found on the shelves, loaded once for a model, and checked against it."""

from collections import OrderedDict
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

from fromnoise.checkpoints.clip_vision import load_clip_vision
from fromnoise.checkpoints.control import ControlNetwork, load_control
from fromnoise.checkpoints.hashes import file_hash, hashes
from fromnoise.checkpoints.load import convert
from fromnoise.engine import shelves
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_control import Control
from fromnoise.errors import FileError
from fromnoise.nn.clip_vision import CLIPVision
from fromnoise.nn.control_lllite import LLLite
from fromnoise.nn.controlnet import ControlNet
from fromnoise.nn.t2i_adapter import T2IAdapter
from fromnoise.nn.unet import UNet, skip_widths

KEPT = 4  # networks of one model; a picture under way keeps its own besides

Known = OrderedDict[tuple[str, int, int, bool], ControlNetwork]  # path, size, time of change, whether it waits: network

_known: WeakKeyDictionary[UNet, Known] = WeakKeyDictionary()


def with_hashes(model: Model, recipe: Recipe) -> Recipe:
    """The recipe with the hashes of the files that its controls name."""
    if not any(control.model for control in recipe.controls):
        return recipe
    named = [
        control.model_copy(update={"model_hash": file_hash(control_path(model, control), model.settings.hashes)})
        if control.model
        else control
        for control in recipe.controls
    ]
    return recipe.but(controls=[control.model_dump() for control in named])


def control_path(model: Model, control: Control) -> Path:
    """The file of a control's network; FileError where it is missing, or not the one of the recipe."""
    assert control.model is not None
    path = shelves.find("controlnet", control.model, model.settings)
    if control.model_hash is not None and not hashes(path, model.settings.hashes).match(control.model_hash):
        digest = file_hash(path, model.settings.hashes)
        raise FileError(f"{control.model}: not the file of the recipe (its SHA-256 begins {digest[:10]})")
    return path


def control_network(model: Model, path: Path) -> ControlNetwork:
    """The network of a file, where the model computes; a ControlNet waits in its file if some of the U-Net does.

    FileError where it is none, or of another kind of model.
    """
    waits = model.residence is not None and model.residence.plan.unet < 1
    known = _known.setdefault(model.unet, OrderedDict())
    status = path.stat()
    for other in [key for key in known if key[-1] != waits]:
        del known[other]
    key = str(path.resolve()), status.st_size, status.st_mtime_ns, waits
    network = known.get(key)
    if network is None:
        network = load_control(path, model.unet)
        check(path, network, model.unet)
        if not (waits and isinstance(network, ControlNet)):
            network = model.enduring(partial(placed, network, model))
        known[key] = network
        while len(known) > KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    return network


def placed(network: ControlNetwork, model: Model) -> ControlNetwork:
    place = model.placement
    return convert(network, dtype=place.dtype, device=place.device, channels_last=place.channels_last)


def check(path: Path, network: ControlNetwork, unet: UNet) -> None:
    """FileError where a network does not fit the U-Net."""
    fault = misfit(network, unet)
    if fault:
        raise FileError(f"{path.name} is for another kind of model: {fault}")


def misfit(network: ControlNetwork, unet: UNet) -> str:
    """What does not fit; nothing where all does."""
    config = unet.config
    if isinstance(network, ControlNet):
        theirs = network.config.unet
        if skip_widths(theirs) != skip_widths(config):
            return f"its layers are {theirs.model_channels} times {theirs.channel_mult} wide, the checkpoint's " + (
                f"{config.model_channels} times {config.channel_mult}"
            )
        if theirs.context_dim not in (0, config.context_dim):
            return f"it reads prompts of width {theirs.context_dim}, the checkpoint of {config.context_dim}"
        if theirs.vector_dim not in (None, config.vector_dim):
            return f"it takes a vector of {theirs.vector_dim}, the checkpoint of {config.vector_dim}"
    if isinstance(network, T2IAdapter):
        levels = [config.model_channels * mult for mult in config.channel_mult]
        wanted = [levels[0], *levels[1:], levels[-1]] if network.config.xl else levels
        if list(network.config.widths) != wanted:
            return f"its features are {list(network.config.widths)} wide, the checkpoint's levels {wanted}"
    if isinstance(network, LLLite):
        there = dict(unet.named_modules())
        for target, dim in network.sizes.items():
            if getattr(there.get(target), "in_features", None) != dim:
                return f"{target} is not there, or not {dim} wide"
    return ""


def style_encoder(model: Model, width: int) -> CLIPVision:
    """The picture encoder whose states are that wide; FileError where there is none."""
    for path in shelves.listed("clip_vision", model.settings):
        encoder = load_clip_vision(path)
        if encoder.config.dim == width:
            return model.enduring(partial(convert, encoder, dtype=model.placement.dtype, device=model.placement.device))
    place = shelves.home("clip_vision", model.settings)
    raise FileError(
        f"a style needs CLIP's picture encoder of width {width}, which is ViT-L/14 for 1024: put it in {place}"
    )
