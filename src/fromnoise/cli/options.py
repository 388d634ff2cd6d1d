"""How options are declared, and the `Order`: all options that say how a picture is made, where it goes, and on what.

An option of the same name as a field of the recipe is that field; `To` names another one. Parts of a recipe are typed
as `compact` reads them; options that are no field are understood in `drafting`. So one more field of `Recipe` needs one
more field here, its Chinese, and its line in docs/cli.md and docs/cli.zh-CN.md.

Nothing here imports the engine: help and typing errors cost no torch. Every default is None, "not said".
"""

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import Field, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fromnoise.cli.messages import say

WHAT, START, HOW = say("The picture"), say("Start picture and mask"), say("How it is made")
CONTROL, SHOWN = say("Other pictures that steer"), say("Pictures as prompts")
GUIDING, LATER = say("Guidance"), say("Second pass and refiner")
WHERE, MACHINE = say("Where it goes"), say("The machine")


@dataclass(frozen=True)
class To:
    """The field of the recipe that an option is: "guidance_scale", or of a part of it, "inpaint.soft"."""

    field: str


def option(panel: str, text: str, *names: str, metavar: str | None = None, default: object = None,
           min: float | None = None, max: float | None = None) -> Any:  # fmt: skip
    """An option in a panel of the help; `default` is what the help says that its absence means."""
    return typer.Option(
        *names, help=text, rich_help_panel=panel, metavar=metavar, min=min, max=max,
        show_default=False if default is None else str(default),
    )  # fmt: skip


Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help=say("What to see."), rich_help_panel=WHAT)]
Picture = Annotated[Path, typer.Argument(metavar="FILE", help=say("A picture with its recipe in it, of any tool."))]
Batch = Annotated[
    int, option(WHAT, say("How many pictures: seed, seed + 1, ..."), metavar="N", min=1, max=10_000, default=1)
]
Local = Annotated[
    bool, option(MACHINE, say("Work in this process, though a server is running that would do it."), "--local")
]
Watch = Annotated[
    bool, option(WHERE, say("Also write NAME-watch.png: the picture that was predicted at each step."), "--watch")
]
Font = Annotated[Path | None, option(WHERE, say("A font for the labels of the sheet."), metavar="FILE")]
Each = Annotated[bool, option(WHERE, say("Also write every picture of the sheet by itself."), "--each")]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asked for, not yet checked."""

    prompt: str = ""  # an argument of the commands that have one

    # the picture
    negative: Annotated[str | None, option(WHAT, say("What not to see."))] = None
    style: Annotated[
        list[str] | None,
        option(WHAT, say("A style of styles.csv, put around the prompts; can be repeated."), metavar="NAME"),
    ] = None
    styles: Annotated[
        Path | None, option(WHAT, say("The file of styles, as AUTOMATIC1111 writes it."), default="styles.csv")
    ] = None
    wildcards: Annotated[
        Path | None,
        option(WHAT, say("The folder of lists that __name__ in a prompt takes a line of."), default="wildcards"),
    ] = None
    as_written: Annotated[
        bool, option(WHAT, say("Choose nothing in prompts: {a|b} and __name__ are text."), "--as-written")
    ] = False
    size: Annotated[
        str | None,
        option(
            WHAT,
            say("Width and height in pixels, multiples of 8; by default the size the model was trained on."),
            metavar="WxH",
        ),
    ] = None
    seed: Annotated[
        int | None,
        option(
            WHAT,
            say("Chooses the noise the picture comes from; without it, or -1, a random one, which is printed."),
            metavar="N",
            min=-1,
        ),
    ] = None

    # start picture and mask
    init: Annotated[Path | None, option(START, say("A picture to start from."), metavar="FILE")] = None
    strength: Annotated[
        float | None,
        option(
            START, say("How much of the start picture to replace; 0.75 if not given."), metavar="N", min=0, max=1
        ),
    ] = None  # fmt: skip
    mask: Annotated[Path | None, option(START, say("White where the start picture may change."), metavar="FILE")] = None
    inpaint: Annotated[
        str | None,
        option(START, say('How the mask is used: "content=fill, blur=4, only_masked=on".'), metavar="SETTINGS"),
    ] = None
    soft: Annotated[
        str | None,
        option(START, say("Soft inpainting, of masks with greys: on, or its settings."), metavar="SETTINGS"),
        To("inpaint.soft"),
    ] = None
    outpaint: Annotated[
        str | None,
        option(
            START, say('New pixels around the start picture: "left=128, right=128, feather=40".'), metavar="SETTINGS"
        ),
    ] = None
    inversion: Annotated[
        str | None,
        option(
            START,
            say('Begin with the noise that the start picture would come from: "prompt=a cat, steps=50".'),
            metavar="SETTINGS",
        ),
    ] = None
    enlarge: Annotated[
        str | None,
        option(
            START,
            say('A small picture for upscaling models (x4): "small.png", or "small.png, noise_level=20".'),
            metavar="SETTINGS",
        ),
    ] = None
    redraw: Annotated[
        str | None,
        option(
            START,
            say('The start picture enlarged and painted anew in tiles: on, or "chess, 4, seams=half".'),
            metavar="SETTINGS",
        ),
    ] = None
    resize: Annotated[
        str | None,
        option(
            START, say("How a start picture of another size is fitted: crop, stretch, fill or latent."), default="crop"
        ),
    ] = None  # fmt: skip
    init_upscaler: Annotated[
        str | None,
        option(
            START,
            say("What enlarges a start picture that is too small: see fromnoise upscalers."),
            metavar="NAME",
            default="Lanczos",
        ),
    ] = None
    match_colours: Annotated[
        bool | None, option(START, say("Give the result the colours of the start picture."), "--match-colours")
    ] = None
    exact_steps: Annotated[
        bool | None, option(START, say("Take all steps whatever the strength; a1111."), "--exact-steps")
    ] = None
    image_guidance: Annotated[
        float | None,
        option(
            START, say("How closely an instruct-pix2pix model follows the start picture."), metavar="N", min=0, max=100,
            default=1.5,
        ),
        To("image_guidance_scale"),
    ] = None  # fmt: skip

    # control
    control: Annotated[
        list[str] | None,
        option(
            CONTROL,
            say('A picture that steers, any number of times: "openpose:photo.png, model=NAME, weight=0.8".'),
            metavar="SETTINGS",
        ),
        To("controls"),
    ] = None

    # how it is made
    model: Annotated[str | None, option(HOW, say("Name or path of the checkpoint."), default="builtin")] = None
    vae: Annotated[
        str | None,
        option(
            HOW,
            say(
                "The autoencoder of another file. automatic: the one that lies beside the model; none: the model's own."
            ),
            default="automatic",
            metavar="FILE",
        ),
    ] = None
    unet: Annotated[str | None, option(HOW, say("The U-Net of another file."), metavar="FILE")] = None
    text_encoder: Annotated[
        list[str] | None,
        option(HOW, say("The text encoder of another file; SDXL has two, give both."), metavar="FILE"),
        To("text_encoders"),
    ] = None
    ema: Annotated[
        bool | None, option(HOW, say("Take the running averages of a full training checkpoint."), "--ema")
    ] = None
    no_ema: Annotated[bool, option(HOW, say("Take its last weights."), "--no-ema")] = False
    variant: Annotated[
        str | None,
        option(
            HOW, say("Which weights of a folder that has several, such as fp16; by default the plain ones."),
            metavar="NAME",
        ),
    ] = None  # fmt: skip
    steps: Annotated[
        int | None,
        option(HOW, say("Steps from noise to picture."), metavar="N", min=1, max=10_000, default=20),
    ] = None
    guidance: Annotated[
        float | None,
        option(
            HOW,
            say("How closely to follow the prompt; 1 is not at all; by default what suits the model, mostly 7."),
            metavar="N",
            min=0,
            max=100,
        ),
        To("guidance_scale"),
    ] = None
    sampler: Annotated[
        str | None,
        option(HOW, say("How to walk from noise to picture: see fromnoise samplers."), default="dpmpp_2m"),
    ] = None
    schedule: Annotated[
        str | None,
        option(
            HOW,
            say("Which noise levels to step on: see fromnoise schedules; by default what suits model and sampler."),
        ),
    ] = None
    sampler_options: Annotated[
        str | None, option(HOW, say('Options of the sampler: "eta=0.5, s_noise=1".'), metavar="SETTINGS")
    ] = None
    schedule_options: Annotated[
        str | None, option(HOW, say('Options of the schedule: "rho=5, sigma_min=0.1".'), metavar="SETTINGS")
    ] = None
    drop_penultimate: Annotated[
        bool | None, option(HOW, say("Leave out the last noise level but one, as some samplers do anyway."),
                            "--drop-penultimate")
    ] = None  # fmt: skip
    clip_skip: Annotated[
        int | None,
        option(
            HOW,
            say("Take the text encoder's states this far from its end; by default as the model was trained."),
            metavar="N",
            min=1,
            max=12,
        ),
    ] = None
    profile: Annotated[
        str | None,
        option(HOW, say("Whose numerics to follow: native, a1111, comfyui or diffusers."), default="native"),
    ] = None
    emphasis: Annotated[
        str | None,
        option(HOW, say("How weights in prompts act: native, comfyui, no norm or ignore; by default the profile's.")),
    ] = None
    old_prompt_timing: Annotated[
        bool | None, option(HOW, say("Count moments in prompts as before version 1.6 of AUTOMATIC1111."),
                            "--old-prompt-timing")
    ] = None  # fmt: skip
    sizes: Annotated[
        str | None, option(HOW, say('The sizes that SDXL is told: "original=1024x1024, crop=0x0".'), metavar="SETTINGS")
    ] = None
    variation: Annotated[
        str | None,
        option(HOW, say('A second seed and how much of its noise is mixed in: "5, 0.2".'), metavar="SETTINGS"),
    ] = None
    noise: Annotated[
        str | None, option(HOW, say('Where noise comes from: "source=nv, seed_delta=31337".'), metavar="SETTINGS")
    ] = None

    lora: Annotated[
        list[str] | None,
        option(
            HOW, say("A LoRA: NAME, NAME:0.8, or as in a <lora:...> tag; can be given several times."),
            metavar="NAME[:STRENGTH]",
        ),
        To("networks"),
    ] = None  # fmt: skip
    hypernetwork: Annotated[
        list[str] | None,
        option(HOW, say("A hypernetwork; can be given several times."), metavar="NAME[:STRENGTH]"),
        To("networks"),
    ] = None

    # pictures as prompts
    image_prompt: Annotated[
        list[str] | None,
        option(
            SHOWN,
            say('A picture as a prompt: "photo.png, model=ip-adapter_sd15, weight=0.8"; can be repeated.'),
            metavar="SETTINGS",
        ),
        To("image_prompts"),
    ] = None
    box: Annotated[
        list[str] | None,
        option(
            SHOWN,
            say('What is to be where, left, top, width and height in pixels: "64,64,128,256: a cat"; needs --gligen; '
                "can be repeated."),
            metavar="SETTINGS",
        ),
        To("boxes"),
    ] = None  # fmt: skip
    gligen: Annotated[
        str | None,
        option(SHOWN, say('The model that heeds boxes: "NAME", or "NAME, end=0.5".'), metavar="SETTINGS"),
    ] = None
    depth: Annotated[
        str | None,
        option(
            SHOWN,
            say('A depth map for depth models, near is white: "depth.png", or "photo.png, depth_midas".'),
            metavar="SETTINGS",
        ),
    ] = None

    # guidance
    rescale: Annotated[
        str | None,
        option(GUIDING, say("CFG rescale: guided answers keep their contrast: 0.7."), metavar="SETTINGS"),
        To("guidance.rescale"),
    ] = None
    apg: Annotated[
        str | None,
        option(
            GUIDING,
            say('Adaptive projected guidance, against burnt colours: on, or "eta=0, threshold=15".'),
            metavar="SETTINGS",
        ),
        To("guidance.projected"),
    ] = None
    thresholding: Annotated[
        str | None,
        option(
            GUIDING,
            say('Dynamic thresholding: a high guidance with the values of a lower one: "7, percentile=0.99".'),
            metavar="SETTINGS",
        ),
        To("guidance.thresholding"),
    ] = None
    cfg_zero: Annotated[
        str | None,
        option(GUIDING, say("CFG-Zero*: the unconditional answer is fitted first: on."), metavar="SETTINGS"),
        To("guidance.zero_star"),
    ] = None
    perp_neg: Annotated[
        str | None,
        option(GUIDING, say("Perp-Neg: take away only what the prompt does not ask for: 1."), metavar="SETTINGS"),
        To("guidance.perp_neg"),
    ] = None
    skip_negative: Annotated[
        str | None,
        option(
            GUIDING,
            say('Leave the negative prompt out at low noise (NGMS) or at the start: "2", or "early=0.1".'),
            metavar="SETTINGS",
        ),
        To("guidance.skip"),
    ] = None
    pag: Annotated[
        str | None,
        option(GUIDING, say("Perturbed-attention guidance, for structure: 3."), metavar="SETTINGS"),
        To("guidance.perturbed"),
    ] = None
    sag: Annotated[
        str | None,
        option(GUIDING, say('Self-attention guidance, for details: "0.5, blur=2".'), metavar="SETTINGS"),
        To("guidance.self_attention"),
    ] = None
    freeu: Annotated[
        str | None,
        option(GUIDING, say('FreeU, b1, b2, s1, s2: on, or "1.3, 1.4, 0.9, 0.2".'), metavar="SETTINGS"),
        To("free_u"),
    ] = None
    token_merging: Annotated[
        str | None,
        option(GUIDING, say("Token merging, for speed: the share of tokens done without, 0.5."), metavar="SETTINGS"),
    ] = None
    step_reuse: Annotated[
        str | None,
        option(
            GUIDING,
            say(
                'Step reuse (DeepCache), for speed: all of the network at every third step alone: on, or "3, blocks=2".'
            ),
            metavar="SETTINGS",
        ),
    ] = None
    int8: Annotated[
        bool | None, option(GUIDING, say("Multiply 8-bit integers in the U-Net, for speed on processors."), "--int8")
    ] = None
    fp8: Annotated[
        bool | None, option(GUIDING, say("Multiply 8-bit floats in the U-Net, for speed on GPUs."), "--fp8")
    ] = None
    compile: Annotated[
        bool | None,
        option(GUIDING, say("Compile the U-Net's blocks, for speed after the first picture."), "--compile"),
    ] = None
    seamless: Annotated[
        str | None,
        option(GUIDING, say("Pictures that tile: on, or y=off for left and right alone."), metavar="SETTINGS"),
    ] = None
    tiles: Annotated[
        str | None,
        option(
            GUIDING,
            say('Large pictures in tiles that are averaged: on, or "mixture of diffusers, 96, 96, overlap=48".'),
            metavar="SETTINGS",
        ),
    ] = None
    region: Annotated[
        list[str] | None,
        option(
            GUIDING,
            say('A prompt for a part of the picture, as shares of it: "a dog, left=0.5, width=0.5"; can be repeated.'),
            metavar="SETTINGS",
        ),
        To("regional.regions"),
    ] = None
    regional: Annotated[
        str | None,
        option(GUIDING, say('How much the prompt counts beside those of regions: "base=0.5".'), metavar="SETTINGS"),
    ] = None

    # second pass and refiner
    hires: Annotated[
        str | None,
        option(
            LATER, say('A second pass on the enlarged picture: "2", or "scale=2, strength=0.5, steps=10".'),
            metavar="SETTINGS",
        ),
    ] = None  # fmt: skip
    restore_faces: Annotated[
        str | None,
        option(
            LATER, say('Faces made clear in the finished picture: on, gfpgan, or "codeformer, weight=0.7".'),
            metavar="SETTINGS",
        ),
    ] = None  # fmt: skip
    refiner: Annotated[
        str | None,
        option(LATER, say('Another model for the last steps: "NAME, 0.8".'), metavar="SETTINGS"),
    ] = None

    # where it goes
    out: Annotated[
        str | None,
        option(
            WHERE,
            say(
                "A PNG file, which is overwritten, or a folder, which ends in /; "
                "by default outputs/DATE-SEED-PROMPT.png, which never overwrites."
            ),
            metavar="PLACE",
        ),
    ] = None
    quiet: Annotated[bool, option(WHERE, say("Print the path and nothing else."), "--quiet", "-q")] = False

    # the machine
    local: Local = False
    allow_unmatched: Annotated[
        bool, option(MACHINE, say("Go on without weights in files that match nothing."), "--allow-unmatched")
    ] = False
    device: Annotated[
        str | None,
        option(MACHINE, say("Where to compute: cpu, cuda, cuda:1, xpu, mps; by default the best there is.")),
    ] = None
    dtype: Annotated[
        str | None,
        option(MACHINE, say("What to compute in: float32, bfloat16, float16; by default what is fast here.")),
    ] = None
    memory: Annotated[
        str | None,
        option(MACHINE, say("What the program may take of the device's memory, such as 4GB."), metavar="SIZE"),
    ] = None


def is_option(field: Field[Any]) -> bool:
    return bool(get_args(field.type))


def recipe_field(field: Field[Any]) -> str:
    """The field of the recipe that an option of an `Order` is, if it is one."""
    return next((part.field for part in get_args(field.type) if isinstance(part, To)), field.name)


def flag(field: Field[Any]) -> str:
    """How an option is typed."""
    return f"--{field.name.replace('_', '-')}"


def undefaulted(annotation: Any) -> Any:
    """The annotation of an option whose help names no default."""
    kind, declared, *rest = get_args(annotation)
    silent = copy(declared)
    silent.show_default = False
    return Annotated[kind, silent, *rest]


def ordered(command: Callable[..., None], *, defaults: bool = True) -> Callable[..., None]:
    """`command`, its first parameter, an `Order`, spelled out as options after its arguments.

    Without `defaults` the help names none: what is not said stays as it is.
    """
    _, *own = inspect.signature(command).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(
            field.name, keyword, default=field.default, annotation=field.type if defaults else undefaulted(field.type)
        )
        for field in fields(Order)
        if is_option(field)
    ]

    @wraps(command)
    def spelled_out(**typed: Any) -> None:
        order = Order(**{option.name: typed.pop(option.name) for option in shared})
        command(order, **typed)

    arguments = [parameter.replace(kind=keyword) for parameter in own if parameter.default is parameter.empty]
    others = [parameter.replace(kind=keyword) for parameter in own if parameter.default is not parameter.empty]
    spelled_out.__signature__ = inspect.Signature([*arguments, *shared, *others])  # type: ignore[attr-defined]
    spelled_out.__annotations__ = {}
    return spelled_out
