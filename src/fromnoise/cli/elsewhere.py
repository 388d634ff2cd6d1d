"""Pictures by a server that runs on the same folder of data: its queue takes the work, its workers hold the models.

The order is stored as a job of the queue's, its events are followed, and the picture is copied to where the command
line would have written it: the same picture, under the same name.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fromnoise import settings
from fromnoise.cli.failures import Stopped
from fromnoise.cli.messages import say, translated
from fromnoise.cli.options import Order
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import Report, note, progress
from fromnoise.cli.service import Service, happenings, running
from fromnoise.engine import library
from fromnoise.engine.choices import has_choices
from fromnoise.engine.network_files import SHELVES, network_path
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.recipe_networks import named
from fromnoise.engine.references import ImageRef
from fromnoise.errors import FileError, UserError
from fromnoise.jobs.job import Job, NotNow, Result, Work, members, new_id
from fromnoise.settings import Settings

LOG = logging.getLogger(__name__)
TOGETHER = 64  # jobs that wait at once
OWN = ("device", "dtype", "memory")  # options that say how this process would work


def at_work(order: Order, *drafts: Recipe) -> Service | None:
    """The server that can make these pictures as they would be made here; None where there is none.

    What is asked of this process alone, such as a device, and models that are named by their paths are made here.
    """
    here = settings.read()
    if order.local or order.allow_unmatched or any(getattr(order, name) is not None for name in OWN):
        return None
    service = running(here)
    return service if service is not None and all(is_shelved(draft, here) for draft in drafts) else None


def is_shelved(recipe: Recipe, here: Settings) -> bool:
    """Whether all models are named as a server finds them."""
    shelved = replace(here, any_path=False)
    try:
        for wanted in [Weights.of(recipe), *Weights.others(recipe)]:
            library.Found.of(wanted, shelved)
        prompt = "" if has_choices(recipe) else recipe.prompt
        for use in named(recipe.networks, prompt, PROFILES[recipe.profile].dialect, recipe.steps):
            network_path(SHELVES[use.kind], use.name, shelved)
    except FileError:  # it is told of where it is made
        return False
    return True


def made_there(service: Service, recipes: Sequence[Recipe], destination: Destination, quiet: bool) -> None:
    """Let the server make pictures, and print the paths of the copies, each on a line of its own on stdout."""
    began = time.perf_counter()
    note(say("a server is running and makes it, seed {seed}; --local works here", seed=recipes[0].seed), quiet)
    written: list[Path] = []
    try:
        with progress(quiet) as report:
            for path in followed(service, recipes, destination, report):
                written.append(path)
        note(say("done in {seconds:.1f} s", seconds=time.perf_counter() - began), quiet)
    except KeyboardInterrupt:
        raise Stopped(stopped(len(written), len(recipes))) from None
    finally:
        print(*written, sep="\n", end="\n" if written else "", flush=True)


def stopped(written: int, wanted: int) -> str:
    if not written:
        return say("stopped; nothing was written")
    return say("stopped; {written} of {wanted} pictures are finished", written=written, wanted=wanted)


def followed(service: Service, recipes: Sequence[Recipe], destination: Destination, report: Report) -> Iterator[Path]:
    """The path of each picture as it is copied."""
    for number, result in made(service, recipes, report):
        yield copied(service, result, recipes[number], destination, None if len(recipes) == 1 else number + 1)


def made(service: Service, recipes: Sequence[Recipe], report: Report) -> Iterator[tuple[int, Result]]:
    """The number of each picture, from 0, as it is made, and what the server has of it."""
    group, done, where = f"cli-{new_id()}", 0, members([recipe.seed for recipe in recipes])

    def tell(steps: Mapping[str, tuple[int, int]]) -> None:
        known = [total for _, total in steps.values() if total]
        whole = max(known, default=0) * len(recipes)
        if whole:
            report(done + sum(step for step, _ in steps.values()), whole)

    for start in range(0, len(recipes), TOGETHER):
        some = recipes[start : start + TOGETHER]
        works = [
            Work.picture(absolute(recipe), group=group, member=member)
            for recipe, member in zip(some, where[start:], strict=False)
        ]
        after = service.queue.last_event()
        jobs: list[Job] = service.queue.submit(works)
        numbers = {job.id: start + index for index, job in enumerate(jobs)}
        try:
            for name in ended(service, set(numbers), after, tell):
                (result,) = service.queue.results(name)
                yield numbers[name], result
        except BaseException:
            give_up(service, numbers)
            raise
        done += sum(service.queue.get(name).steps for name in numbers)


def ended(
    service: Service, waiting: set[str], after: int, tell: Callable[[Mapping[str, tuple[int, int]]], None]
) -> Iterator[str]:
    """The jobs as they are done. UserError where one fails, FromnoiseError where nobody works any more."""
    steps: dict[str, tuple[int, int]] = {}
    for event in happenings(service, waiting, after):
        if event.kind == "step":
            steps[event.job] = event.data["step"], event.data["steps"]
            tell(steps)
        elif event.kind in ("failed", "cancelled"):
            why = service.queue.get(event.job).error or "the job was cancelled"
            raise UserError(translated(why))
        elif event.kind == "remarked":
            for remark in event.data["remarks"]:
                LOG.warning(remark)
        elif event.kind == "done":
            waiting.discard(event.job)
            yield event.job


def copied(
    service: Service, result: Result, recipe: Recipe, destination: Destination, number: int | None
) -> Path:  # fmt: skip
    """A picture, where the command line would have written it."""
    with destination.claimed(destination.stem(recipe.prompt, recipe.seed, number)) as path:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            shutil.copyfile(service.outputs / str(result.path), part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def give_up(service: Service, jobs: Mapping[str, int]) -> None:
    """Cancel what is not done."""
    for job in jobs:
        with suppress(NotNow):
            service.queue.cancel(job)


def absolute(recipe: Recipe) -> Recipe:
    """The recipe with its pictures as a process in another folder finds them."""
    return Recipe.model_validate(placed(recipe.model_dump())).leaving(recipe.unsaid)


def placed(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == set(ImageRef.model_fields):
            return {**value, "path": str(Path(value["path"]).absolute())}
        return {key: placed(inner) for key, inner in value.items()}
    return [placed(inner) for inner in value] if isinstance(value, (list, tuple)) else value
