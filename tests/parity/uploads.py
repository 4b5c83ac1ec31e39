"""What the profiles of a trial have uploaded: pictures with a face and pictures of nobody, by turns.

A tier may show more of a picture without a face. So both kinds must be there, and each be a minor's and an adult's.
"""

import zlib

import numpy as np

from nightlight.cli.abuse_signal_commands import drawn
from tests.support import pictures


def has_face(number):
    """Whether the n-th profile's picture has a face."""
    return number % 2 == 1


def upload_of(number, profile_id):
    """The PNG file of the n-th profile: coloured discs, for every second one with a person before them."""
    background = drawn(profile_id)
    if not has_face(number):
        return background
    picture = pictures.opened(background).convert("RGB")
    random = np.random.default_rng(zlib.crc32(profile_id.encode()))
    side = int(min(picture.size) * random.uniform(0.5, 1))
    person = pictures.opened(pictures.photograph()).convert("RGB").resize((side, side))
    left, top = (int(random.uniform(0, length - side)) for length in picture.size)
    picture.paste(person, (left, top))
    return pictures.encoded(picture, "PNG")
