"""What libvips, libavif and libheif make of a file, by their own programs; each is absent where it is not installed."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from nightlight.imaging import normalise

# Program, Debian's package, and what it reads.
PEERS = {
    "libvips": ("vipsthumbnail", "libvips-tools", ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIC", "JXL")),
    "avifdec": ("avifdec", "libavif-bin", ("AVIF",)),
    "heif-convert": ("heif-convert", "libheif-examples", ("AVIF", "HEIC")),
}


def installed():
    return [name for name, (program, _, _) in PEERS.items() if shutil.which(program)]


def decode(name, data, format_, size):
    """Return a peer's RGB pixels, over white; None where it refuses the file."""
    program, _, _ = PEERS[name]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"in.{format_.lower()}", Path(folder) / "out.png"
        source.write_bytes(data)
        commands = {
            "vipsthumbnail": ["--size", f"{size[0]}x{size[1]}!", "--export-profile", "srgb", "-o", target, source],
            "avifdec": [source, target],
            "heif-convert": [source, target],
        }
        try:
            ended = subprocess.run([program, *commands[program]], capture_output=True, check=False, timeout=60)
        except subprocess.TimeoutExpired:
            return None
        if ended.returncode or not target.exists():
            return None
        try:
            with Image.open(target, formats=["PNG"]) as image:
                continuous = normalise.to_continuous(image)
                return np.asarray(normalise.flatten(normalise.to_srgb(continuous, image.info.get("icc_profile"))))
        except (OSError, ValueError):  # half a file, or text that Pillow does not unpack
            return None
