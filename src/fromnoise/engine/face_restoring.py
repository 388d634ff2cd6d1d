"""Faces of a picture made clear, by a recipe or by what is done with finished pictures."""

from pathlib import Path

from PIL import Image

from fromnoise.engine import shelves
from fromnoise.engine.enlarge import DEFAULTS
from fromnoise.engine.recipe_upscale import FACE_LABELS, FaceRestoration
from fromnoise.errors import FileError
from fromnoise.settings import Settings
from fromnoise.upscalers.faces import YUNET, Restorer, drawer, finder
from fromnoise.upscalers.work import Work

KIND: shelves.Kind = "face_restore"
DISTRIBUTED = {"gfpgan": "GFPGANv1.4.pth", "codeformer": "codeformer-v0.1.0.pth"}


def restored(image: Image.Image, wanted: FaceRestoration, settings: Settings = DEFAULTS, work: Work | None = None) -> (
    Image.Image
):  # fmt: skip
    """`image` with clear faces. FileError, UserError that say what is missing."""
    return restorer(wanted, settings, work or Work())(image, wanted.weight, wanted.visibility)


def restorer(wanted: FaceRestoration, settings: Settings, work: Work) -> Restorer:
    """What finds and draws the faces. FileError where a file is missing or is another."""
    network, detector = network_path(wanted, settings), detector_path(settings)
    return Restorer(finder(detector), drawer(network, work))


def check_faces(wanted: FaceRestoration, settings: Settings) -> None:
    """FileError where a file is missing."""
    network_path(wanted, settings)
    detector_path(settings)


def network_path(wanted: FaceRestoration, settings: Settings) -> Path:
    """The named file, or the newest of its kind by name."""
    if wanted.model is not None:
        return shelves.find(KIND, wanted.model, settings)
    there = [path for path in shelves.listed(KIND, settings) if wanted.by in path.stem.lower()]
    if there:
        return max(there, key=lambda path: path.stem.lower())
    place = shelves.home(KIND, settings)
    raise FileError(
        f"{FACE_LABELS[wanted.by]} is the file {DISTRIBUTED[wanted.by]}, which is not here: put it into {place}"
    )


def detector_path(settings: Settings) -> Path:
    """Of the network that finds faces."""
    for shelf in shelves.shelves(KIND, settings):
        for path in sorted(shelf.folder.glob("**/*yunet*.onnx")):
            if path.is_file():
                return path
    place = shelves.home(KIND, settings)
    raise FileError(f"faces are found by {YUNET} (of OpenCV's model zoo, MIT), which is not here: put it into {place}")
