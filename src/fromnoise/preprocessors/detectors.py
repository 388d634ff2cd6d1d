"""Edges, lines, poses and normals by the networks of controlnet-aux, from files on this machine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from fromnoise.errors import FileError, UserError
from fromnoise.preprocessors.arrays import Picture, np
from fromnoise.preprocessors.registry import HOME, PREPROCESSORS, ControlType, Preprocessor
from fromnoise.preprocessors.sizes import at_resolution, in_blocks


@dataclass(frozen=True)
class Detector:
    """A detector of controlnet-aux."""

    name: str
    type: str  # of controlnet_aux
    files: tuple[str, ...]  # its weights; the first decides which folder they are in
    control_type: ControlType
    good_for: str
    good_for_zh: str
    options: tuple[tuple[str, object], ...] = ()
    aliases: tuple[str, ...] = ()
    instead: str = ""  # a preprocessor of ours that is near to it and needs no network


HED, PIDI = ("ControlNetHED.pth",), ("table5_pidinet.pth",)
LINES, POSE = ("sk_model.pth", "sk_model2.pth"), ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth")
SOFT, SKETCH = ("Soft edges, by {}.", "柔和边缘（{}）。"), ("Scribbles, by {}.", "涂鸦线条（{}）。")
BODY = ("How people stand: {}.", "人物姿态：{}。")


def said(texts: tuple[str, str], word: str, word_zh: str = "") -> tuple[str, str]:
    return texts[0].format(word), texts[1].format(word_zh or word)


DETECTORS = (
    Detector("softedge_hed", "HEDdetector", HED, "softedge", *said(SOFT, "HED"), (), ("hed",), "softedge_classic"),
    Detector("softedge_hedsafe", "HEDdetector", HED, "softedge", *said(SOFT, "HED", "HED，分级"),
             (("safe", True),), ("hed_safe",), "softedge_classic"),
    Detector("softedge_pidinet", "PidiNetDetector", PIDI, "softedge", *said(SOFT, "PiDiNet"), (), ("pidinet",),
             "softedge_classic"),
    Detector("softedge_pidisafe", "PidiNetDetector", PIDI, "softedge", *said(SOFT, "PiDiNet", "PiDiNet，分级"),
             (("safe", True),), ("pidinet_safe",), "softedge_classic"),
    Detector("softedge_teed", "TEEDdetector", ("7_model.pth",), "softedge", *said(SOFT, "TEED"), (), ("te_hed",),
             "softedge_classic"),
    Detector("scribble_hed", "HEDdetector", HED, "softedge", *said(SKETCH, "HED"), (("scribble", True),), (),
             "scribble_classic"),
    Detector("scribble_pidinet", "PidiNetDetector", PIDI, "softedge", *said(SKETCH, "PiDiNet"), (("scribble", True),),
             ("pidinet_scribble",), "scribble_classic"),
    Detector("t2ia_sketch_pidi", "PidiNetDetector", PIDI, "softedge", "A sketch for T2I-Adapter, by PiDiNet.",
             "T2I-Adapter 用的草图（PiDiNet）。", (("apply_filter", True),), ("pidinet_sketch",), "scribble_classic"),
    Detector("lineart_realistic", "LineartDetector", LINES, "lineart", "Lines of a photo, as an artist draws them.",
             "照片的线稿，如同手绘。", (), ("lineart",), "lineart_standard"),
    Detector("lineart_coarse", "LineartDetector", LINES, "lineart", "The same with fewer lines.", "更简略的线稿。",
             (("coarse", True),), (), "lineart_standard"),
    Detector("lineart_anime", "LineartAnimeDetector", ("netG.pth",), "lineart", "Lines of an anime picture.",
             "动漫图的线稿。", (), (), "lineart_classic"),
    Detector("mlsd", "MLSDdetector", ("mlsd_large_512_fp32.pth",), "lineart", "Straight lines of buildings and rooms.",
             "建筑与室内的直线。", (), (), "lines_classic"),
    Detector("normal_bae", "NormalBaeDetector", ("scannet.pt",), "normal", "Which way surfaces face.", "表面朝向。"),
    Detector("openpose", "OpenposeDetector", POSE, "openpose", *said(BODY, "bodies", "身体"),
             (("include_body", True),)),
    Detector("openpose_face", "OpenposeDetector", POSE, "openpose", *said(BODY, "bodies and faces", "身体与脸"),
             (("include_body", True), ("include_face", True))),
    Detector("openpose_faceonly", "OpenposeDetector", POSE, "openpose", *said(BODY, "faces", "脸"),
             (("include_body", False), ("include_face", True))),
    Detector("openpose_hand", "OpenposeDetector", POSE, "openpose", *said(BODY, "bodies and hands", "身体与手"),
             (("include_body", True), ("include_hand", True))),
    Detector("openpose_full", "OpenposeDetector", POSE, "openpose",
             *said(BODY, "bodies, hands and faces", "身体、手与脸"),
             (("include_body", True), ("include_hand", True), ("include_face", True))),
)  # fmt: skip


def detected(image: Picture, *, resolution: int = 512, folders: Sequence[Path] = (), detector: Detector) -> Picture:
    """What a detector draws."""
    try:
        package = import_module("controlnet_aux")
    except ImportError:
        raise UserError(missing(detector, "needs controlnet-aux: pip install controlnet-aux")) from None
    folder = home_of(detector, folders)
    small = at_resolution(image, resolution)
    height, width = small.shape[:2]
    with only_weights():
        try:
            network = getattr(package, detector.type).from_pretrained(str(folder))
            drawn = network(
                in_blocks(small), detect_resolution=min(in_blocks(small).shape[:2]), output_type="np",
                image_resolution=min(in_blocks(small).shape[:2]), **dict(detector.options),
            )  # fmt: skip
        except Exception as error:  # it raises what its parts raise
            raise FileError(f"{folder}: {detector.name} can't work with it ({error})") from error
    return np.ascontiguousarray(np.asarray(drawn, np.uint8)[:height, :width])


def home_of(detector: Detector, folders: Sequence[Path]) -> Path:
    """The folder that the first file of a detector is in; FileError that says where to put it."""
    for folder in folders:
        for found in sorted(folder.glob(f"**/{detector.files[0]}")):
            return found.parent
    place, files = folders[0] if folders else HOME, " and ".join(detector.files)
    raise FileError(missing(detector, f"needs {files} in {place}"))


def missing(detector: Detector, what: str) -> str:
    instead = f"; {detector.instead} needs no network" if detector.instead else ""
    return f"{detector.name} {what}{instead}"


@contextmanager
def only_weights() -> Iterator[None]:
    """PyTorch reads tensors alone from whatever is opened inside."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


for one in DETECTORS:
    PREPROCESSORS.add(
        one.name,
        Preprocessor(
            one.name,
            partial(detected, detector=one),
            one.good_for,
            one.good_for_zh,
            control_type=one.control_type,
            aliases=one.aliases,
            needs="controlnet-aux",
            weights=one.files,
        ),
        one.aliases,
    )
