"""What the tests of phones' pictures share: frames made in this process, and how far they are from what they should be."""

import numpy as np
from PIL import Image

from nightlight.imaging.decoders import available_formats
from nightlight.imaging.probe import probe, upload_caps
from nightlight.settings.pictures import UploadSettings
from tests.support import phone_pictures, pictures
from tests.support.in_process import InProcessDecoder

CAPS = upload_caps(UploadSettings.model_construct())
SMALL = pictures.gradient(320, 240)
FADED = phone_pictures.gradient_with_alpha(320, 240)
available_formats()  # registers what writes HEIC


def frame(data, *, edge=240, region=None):
    """The frame, made in this process."""
    return InProcessDecoder().frame(data, probe(data, CAPS, edge=edge), edge=edge, region=region)


def difference(image, expected):
    assert image.size == expected.size
    return np.abs(np.asarray(image, dtype=int) - np.asarray(expected.convert("RGB"), dtype=int)).mean()


def on_white(image):
    below = Image.new("RGB", image.size, (255, 255, 255))
    below.paste(image, mask=image.getchannel("A"))
    return below


def smooth(width, height):
    """A large picture that is quickly made and encoded."""
    return pictures.gradient(width // 8, height // 8).resize((width, height), Image.Resampling.BICUBIC)
