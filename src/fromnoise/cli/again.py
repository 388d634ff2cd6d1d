"""`fromnoise again` and `fromnoise verify`: pictures made from what is written in them."""

import secrets
from collections.abc import Callable
from pathlib import Path

from fromnoise import settings
from fromnoise.allocator import keep_freed
from fromnoise.cli.drafting import RANDOM_SEEDS, changed
from fromnoise.cli.messages import say, translated
from fromnoise.cli.options import Order
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import note
from fromnoise.cli.wording import chosen, tell_oddities
from fromnoise.engine import library
from fromnoise.engine.images import save_png
from fromnoise.engine.memory import place
from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.draft import Imported
from fromnoise.engine.metadata.own import OURS, texts
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.sizes import parsed
from fromnoise.engine.verify import AGREES, Verification, again, verify


def make_again(file: Path, order: Order, prompt: str | None = None) -> None:
    """Make a picture of any tool again, with what was said changed, and print its path."""
    album = Album.around(file)
    imported = read_any(file, album)
    destination = Destination.of(order.out)
    destination.check()
    tell(imported, order.quiet)

    def change(recipe: Recipe) -> Recipe:
        new = changed(recipe, order)
        new = new if prompt is None else new.but(prompt=prompt)
        new = new.but(seed=secrets.randbelow(RANDOM_SEEDS)) if order.seed == -1 else new
        if prompt is not None or order.negative is not None:
            return chosen([new], order)[0]
        tell_oddities([new], order.quiet)
        return new

    load = loader(order.device, dtype_of(imported, order.dtype), order.allow_unmatched, order.memory)
    made = again(file, load, change, settings.read(), album)
    with destination.claimed(destination.stem(made.recipe.prompt, made.recipe.seed, None)) as path:
        save_png(made.image, path, texts(made.recipe, place(order.device).device, made.company))
    print(path)


def check(file: Path, model: str | None, device: str | None) -> bool:
    """Print how a picture compares with what its metadata makes; whether it agrees."""
    load = loader(device, None)

    def chosen(recipe: Recipe) -> library.Model:
        return load(recipe if model is None else recipe.but(model=model))

    found = verify(file, chosen, settings.read(), album=Album.around(file))
    tell(found.imported, quiet=False)
    print("\n".join(report(found)))
    return found.verdict in AGREES


def loader(
    device: str | None, dtype: str | None, allow_unmatched: bool = False, memory: str | None = None
) -> Callable[[Recipe], library.Model]:
    """Loads the model of a recipe, in its own dtype if none is given, to work within `memory` (such as 4GB)."""
    budget = None if memory is None else parsed(memory)

    def load(recipe: Recipe) -> library.Model:
        keep_freed()
        where, here = place(device, dtype or recipe.dtype), settings.read()
        return library.load(Weights.of(recipe), where, settings=here, allow_unmatched=allow_unmatched, budget=budget)

    return load


def dtype_of(imported: Imported, dtype: str | None) -> str | None:
    """The dtype that was asked for; for pictures of other tools, which don't name it, what is fast here."""
    return dtype or (None if imported.source == OURS else place().dtype_name)


def tell(imported: Imported, quiet: bool) -> None:
    """Notes on what could not be taken over."""
    note(say("made by {tool}", tool=imported.source), quiet)
    for warning in imported.warnings:
        note(say("note: {warning}", warning=translated(warning)), quiet)
    if imported.not_understood:
        note(say("not understood: {fields}", fields=", ".join(imported.not_understood)), quiet)


def report(found: Verification) -> list[str]:
    """The verdict, the differences, the model and the files."""
    lines = [verdict(found)]
    if found.lossy:
        lines.append(
            say("a {kind} file loses something: it is compared with what it would lose, too", kind=found.lossy)
        )
    if found.psnr is not None:
        lines.append(say("PSNR to what the recipe makes: {ratio:.1f} dB", ratio=found.psnr))
    if found.largest is not None and found.mean is not None:
        lines.append(
            say("largest difference {largest:g} of 255, mean {mean:.3g}", largest=found.largest, mean=found.mean)
        )
    if found.rounded:
        lines.append(say("values that rounding turned to the next level: {count}", count=found.rounded))
    if found.made_by and found.verdict in ("equal within rounding", "different"):
        lines.append(say("made with {environment}", environment=found.made_by))
    if found.box:
        left, upper, right, lower = found.box
        lines.append(
            say(
                "changed pixels: {count}, between ({left}, {upper}) and ({right}, {lower})",
                count=found.changed, left=left, upper=upper, right=right - 1, lower=lower - 1,
            )
        )  # fmt: skip
    needed = found.imported.recipe.model_hash
    if needed and found.model_hash is None:
        lines.append(say("it needs a model with the hash {needed}, which is not here", needed=needed[:16]))
    elif found.model_hash:
        state = say("the model it was made with") if found.model_matches else say("not known to be its model")
        lines.append(f"{found.imported.recipe.model} ({found.model_hash[:10]}): {state}")
    for file in found.missing:
        reason = translated(file.reason)
        if file.sha256:
            lines.append(say("{path}: {reason}; SHA-256 {sha256}", path=file.path, reason=reason, sha256=file.sha256))
        else:
            lines.append(f"{file.path}: {reason}")
    return lines


def verdict(found: Verification) -> str:
    """In the user's language."""
    if found.verdict == "identical":
        return say("identical: every pixel is what the recipe makes")
    if found.verdict == "equal within rounding":
        return say("equal within rounding: nobody changed it")
    if found.verdict == "alike":
        return say("alike: no part differs by more than such a file loses")
    if found.verdict == "edited":
        return say("edited: parts of it are not what the recipe makes")
    if found.verdict == "different":
        return say("different: its recipe makes another picture here")
    return say("not checked: {reason}", reason=translated(found.reason))
