"""One command from a folder of pictures to a file: `fromnoise train lora data/mycat --name mycat`."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from fromnoise.checkpoints.detect import Prediction
from fromnoise.engine.fitting import fitted
from fromnoise.engine.library import Model
from fromnoise.engine.memory import best_dtype
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.settings import Settings
from fromnoise.train.base import compiled, loaded, narrowed
from fromnoise.train.class_pictures import class_folder, drawn_class
from fromnoise.train.data.batches import Pool, Schedule, buckets, gathered
from fromnoise.train.data.source import Dataset, Subset, kohya_subsets, read_dataset_file
from fromnoise.train.finetune import Lesson
from fromnoise.train.full import DTYPES
from fromnoise.train.keeping import trigger
from fromnoise.train.looking import written_out
from fromnoise.train.loop import STATE, LoopConfig, train
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.origin import check_origin, origin_of, steps_done
from fromnoise.train.ranks import is_first, local_device
from fromnoise.train.saving import Files, Saving
from fromnoise.train.told import NEEDED, told
from fromnoise.train.trainable import Trainable
from fromnoise.train.watch import Diverged

Say = Callable[[str], None]
SAMPLERS = {"euler_a": "euler_ancestral", "k_euler_a": "euler_ancestral", "dpm_2_a": "dpm_2_ancestral",
            "dpmsolver": "dpmpp_2m", "dpmsolver++": "dpmpp_2m", "dpmsingle": "dpmpp_2s_ancestral",
            "pndm": "plms"}  # kohya's  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What is trained from what, and how."""

    method: str
    data: Path  # a folder, or a data-set file
    name: str
    model: str
    output: Path
    folder: Path  # of the run: its state, log, samples
    loop: LoopConfig
    options: BaseModel
    objective: Objective = field(default_factory=Objective)
    noising: Noising = field(default_factory=Noising)
    rules: Subset = field(default_factory=Subset)  # of pictures and captions, where a data-set file says nothing else
    sizes: Mapping[str, Any] = field(default_factory=dict)  # fields of the data set
    regular: Path | None = None  # pictures of the class in general
    class_prompt: str = ""  # what is said of them; without pictures they are drawn
    class_pictures: int = 100
    batch: int = 1
    resolution: int | None = None  # None: the model's own
    seed: int = 0
    clip_skip: int | None = None
    max_tokens: int | None = None
    prediction: Prediction | None = None  # of the model, where its file does not say
    vae: str = ""  # in place of the model's own, by name or path
    base: str = "float32"  # numbers that frozen weights are kept in: see `base.BASES`
    base_weights: tuple[Path, ...] = ()  # LoRAs that are part of the model before it learns
    base_weights_multiplier: tuple[float, ...] = ()  # their strengths; those left out are 1
    backend: str = ""  # of torch.compile, for the U-Net; "": not compiled
    weighted_captions: bool = False  # (word:1.2) in captions weighs it
    token_padding: bool = True  # whether states of captions are filled up to a whole window
    most_held_out: int | None = None  # batches of pictures held out that are measured; None: all
    resume: Path | None = None  # the folder of a run that this one goes on from
    told: bool = True  # whether the file tells how it was trained
    only_look: bool = False  # write what would be trained on, and do not train
    recompute: bool = False
    keep: float | None = None  # how much it counts that pictures without the trigger stay as they are: see `kept`
    workers: int = 0
    savings: tuple[Saving, ...] = ()  # files of what is learnt so far
    samples: tuple[str, ...] = ()  # prompts drawn on the way
    sampler: str = ""  # that draws them; "": the model's own
    precision: str = "fp16"  # numbers in the file: see `full.DTYPES`; finetune has an option of its own
    notes: Mapping[str, str] = field(default_factory=dict)  # told in the file
    strict: bool = False

    def side(self, model: Model) -> int:
        """Pixels of a square."""
        return self.resolution or model.defaults.size


def teach(run: Run, device: torch.device, settings: Settings, say: Say) -> Path:
    """Train, or go on where a run stopped, and write the file; its path.

    FileError and UserError; Diverged, after the last good state was written beside the file.
    """
    if run.output.is_dir():
        raise FileError(f"{run.output} is a folder; name a file")
    model = loaded(run, local_device(device), settings)
    if run.class_prompt and run.regular is None:
        place = run.folder / class_folder(run.class_prompt)
        drawn = drawn_class(
            model, run.class_prompt, run.class_pictures, run.seed, place, say if is_first() else silent
        )  # fmt: skip
        run = replace(run, regular=drawn)
    if run.backend:
        compiled(model, run.backend)
    pools = [gathered(dataset, strict=run.strict, seed=run.seed) for dataset in datasets(run, model)]
    for text in left_out(run):
        (say if is_first() else silent)(text)
    for pool in pools:
        tell(pool, say if is_first() else silent)
    method = METHODS[run.method]
    training = method.begin(model, run.options, run.seed)
    if method.whole:
        narrowed(model, run.base)
    training.stored = DTYPES[run.precision]
    fit(training, pools)
    lesson = Lesson(
        Schedule(tuple(pools), run.seed), run.loop.steps * run.loop.accumulate, run.objective, run.noising, run.seed,
        run.clip_skip, run.max_tokens, samples(run, model), run.recompute, run.workers,
        keep=kept(run, pools), side=run.side(model), weighted=run.weighted_captions, padding=run.token_padding,
        most_held_out=run.most_held_out,
        merged=tuple(map(str, zip_longest(run.base_weights, run.base_weights_multiplier))),
    )  # fmt: skip
    task = method.task(model, training, lesson, run.folder / "latents")
    if run.only_look:
        return written_out(task, run.folder / "dataset.txt")
    check_origin(run.folder, run.folder / STATE, origin_of(run.method, model.sha256, pools))
    taken_over(run.resume, run.folder)
    if steps_done(run.folder / STATE) >= run.loop.steps and is_first():
        say(f"{run.folder} holds a run that has done its {run.loop.steps} steps: nothing is left to learn; "
            "for another one give another --name, or more --steps")  # fmt: skip
    began = time.time()
    task.files = Files(
        run.output, run.savings, lambda path, step: training.write(path, notes(run, model, pools, began, step))
    )
    if lesson.keep and (called := trigger(own_captions(pools), run.name)):
        if is_first():
            say(f"what is asked for without {called!r} should stay as it is; --keep 0 lets it change")
        half = best_dtype(task.model.placement.device) == torch.bfloat16
        task.keep(called, run.folder, half if run.loop.bfloat16 is None else run.loop.bfloat16)
    try:
        with task.applied():
            slower = {name: rate / run.loop.learning_rate for name, rate in training.rates.items()}
            train(task, replace(run.loop, slower={**run.loop.slower, **training.slower, **slower}), run.folder)
    except Diverged as error:
        if error.good and is_first():
            place = run.output.with_name(f"{run.output.stem}-step{error.good:08d}{run.output.suffix}")
            say(f"the last good state is in {training.write(place, notes(run, model, pools, began, error.good))}")
        raise
    if is_first():
        training.write(run.output, notes(run, model, pools, began, run.loop.steps))
    return run.output


def notes(run: Run, model: Model, pools: Sequence[Pool], began: float, steps: int) -> dict[str, str]:
    """What the file tells of the training: everything, or only what readers of files need."""
    everything = told(run, model, pools, began, steps)
    return everything if run.told else {name: everything[name] for name in NEEDED}


def taken_over(resume: Path | None, folder: Path) -> None:
    """Begin with the state that another run left, unless this run has one of its own. FileError where it left none."""
    own = folder / STATE
    if resume is None or own.exists():
        return
    if not (resume / STATE).is_file():
        raise FileError(f"{resume}: no {STATE} there, so no run of fromnoise to go on from; --resume names its folder")
    folder.mkdir(parents=True, exist_ok=True)
    draft = own.with_name(f".{STATE}.{os.getpid()}")  # every process of torchrun does this for itself
    shutil.copyfile(resume / STATE, draft)
    draft.replace(own)


def kept(run: Run, pools: Sequence[Pool]) -> float:
    """How much keeping counts: the method's own, but nothing where pictures of the class are there to keep it."""
    if run.keep is not None:
        return run.keep
    regular = any(item.example.regular for pool in pools for item in pool.items)
    return 0.0 if regular else METHODS[run.method].keep


def own_captions(pools: Sequence[Pool]) -> list[str]:
    """Those of what is to be learnt."""
    return [item.example.caption for pool in pools for item in pool.items if not item.example.regular]


def silent(text: str) -> None:
    """Of the processes that are not the first."""


def fit(training: Trainable, pools: Sequence[Pool]) -> None:
    """UserError where the pictures are not what the method needs."""
    if training.wants_controls:
        for item in (item for pool in pools for item in (*pool.items, *pool.held_out)):
            if item.example.control is None:
                raise UserError(
                    f"{item.example.path} has no picture that steers it: name their folder with "
                    "--conditioning_data_dir, where each has its partner's name"
                )


def samples(run: Run, model: Model) -> tuple[Recipe, ...]:
    """What is drawn on the way; a line may end in kohya's --n, --w, --h, --d, --l and --s."""
    made = []
    for text in run.samples:
        prompt, *parts = text.split(" --")
        given = {key: value for key, _, value in (part.partition(" ") for part in parts)}
        names = {"n": "negative", "w": "width", "h": "height", "d": "seed", "l": "guidance_scale", "s": "steps",
                 "ss": "sampler"}  # fmt: skip
        if unknown := given.keys() - names.keys():
            raise UserError(f"sample {text!r}: unknown --{sorted(unknown)[0]}; there are --{', --'.join(names)}")
        fields: dict[str, Any] = {names[key]: value for key, value in given.items()}
        plain = {"prompt": prompt, "model": run.model, "seed": run.seed}
        sampler = fields.pop("sampler", run.sampler)
        fields |= {"sampler": SAMPLERS.get(sampler, sampler)} if sampler else {}
        fields |= {"sampler_options": {"eta": 0.0}} if sampler == "dpmsingle" else {}
        made.append(fitted(Recipe.make(**{**plain, **fields}), model.defaults))
    return tuple(made)


def datasets(run: Run, model: Model) -> Sequence[Dataset]:
    """The data sets of a run; with masked_loss, as kohya has it, pictures that would steer nothing are masks."""
    found = named_datasets(run, model)
    if not run.objective.masked_loss or getattr(METHODS[run.method].begin, "wants_controls", False):
        return found
    return [one.model_copy(update={"subsets": tuple(masked(subset) for subset in one.subsets)}) for one in found]


def masked(subset: Subset) -> Subset:
    if subset.mask_dir or not subset.conditioning_data_dir:
        return subset
    return subset.model_copy(update={"mask_dir": subset.conditioning_data_dir, "conditioning_data_dir": None})


def named_datasets(run: Run, model: Model) -> Sequence[Dataset]:
    """The data sets of a file, or one of the folders."""
    side = run.side(model)
    plain = {"resolution": side, "batch_size": run.batch}
    if run.data.suffix.lower() in (".toml", ".json"):
        chosen = {name: getattr(run.rules, name) for name in run.rules.model_fields_set}
        return read_dataset_file(run.data, {**plain, **chosen, **run.sizes})
    smallest = max(64, min(256, side // 2 // 8 * 8))
    buckets = {"enable_bucket": True, "min_bucket_reso": smallest, "max_bucket_reso": max(2 * side, 128),
               "bucket_reso_steps": 64 if side >= 256 else 8}  # fmt: skip
    if run.rules.metadata_file is not None:
        subsets = [run.rules.model_copy(update={"image_dir": run.data})]
    else:
        subsets, _ = kohya_subsets(run.data, run.rules)
    if run.regular is not None:
        plain_rules = Subset(class_tokens=run.class_prompt, caption_extension=run.rules.caption_extension)
        subsets += kohya_subsets(run.regular, plain_rules, regular=True)[0]
    return (Dataset.model_validate({**plain, **buckets, **run.sizes, "subsets": subsets}),)


def left_out(run: Run) -> list[str]:
    """What lies in the folder of pictures, and is not trained on."""
    if not run.data.is_dir() or run.rules.metadata_file is not None:
        return []
    return kohya_subsets(run.data, run.rules)[1]


def tell(pool: Pool, say: Say) -> None:
    """What was found, and what was left out."""
    for text in (*pool.warnings, *pool.skipped):
        say(text)
    if pool.skipped:
        say(f"{len(pool.skipped)} pictures can't be read and are left out")
    found = ", ".join(f"{width}x{height}: {count}" for (width, height), count in buckets(pool).items())
    say(f"{len(pool.pictures)} pictures, {len(pool.items)} with repeats ({found})")


def epoch_length(run: Run, settings: Settings) -> int:
    """Batches in an epoch."""
    model = loaded(run, torch.device("cpu"), settings)
    return Schedule(tuple(gathered(dataset, seed=run.seed) for dataset in datasets(run, model)), run.seed).length
