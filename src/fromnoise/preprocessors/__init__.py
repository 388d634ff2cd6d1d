"""What makes hints for control networks of pictures; importing this registers the built-in preprocessors."""

from fromnoise.preprocessors import colours as colours
from fromnoise.preprocessors import depth as depth
from fromnoise.preprocessors import detectors as detectors
from fromnoise.preprocessors import lama as lama
from fromnoise.preprocessors import lines as lines
from fromnoise.preprocessors import plain as plain
from fromnoise.preprocessors.registry import PREPROCESSORS as PREPROCESSORS
