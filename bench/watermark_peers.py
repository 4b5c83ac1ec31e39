"""Other invisible watermarks behind one face: how many bits, embed, and detect; all blind, without being told a size.

invisible-watermark's own front door needs PyTorch, and refuses pictures under 256 x 256 pixels; its methods and the
networks that are in its package are used directly.
"""

from __future__ import annotations

import importlib.util
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nightlight.watermark.detect import Detector
from nightlight.watermark.embed import embed
from nightlight.watermark.layout import build_layout
from nightlight.watermark.payload import Payload


class Ours:
    """The mark of this project: 64 bits, checked by a key."""

    name, bits = "nightlight", 64

    def __init__(self, sides):
        self._key = bytes(range(32))
        self._layout = build_layout(self._key)
        self._detector = Detector({"m1": self._key}, sides)

    def embed(self, pixels, bits):
        number = int("".join(map(str, bits)), 2)
        return embed(pixels, Payload(number >> 8, number & 255), self._layout).pixels

    def detect(self, pixels):
        detection = self._detector.detect(pixels).detection
        if detection is None:
            return None
        number = detection.payload.rendition << 8 | detection.payload.variant
        return np.array([number >> at & 1 for at in reversed(range(64))], np.uint8)


def _inside(file):
    """Load one module of invisible-watermark without its package, which imports PyTorch."""
    folder = Path(find_spec("imwatermark").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location(f"imwatermark_{file}", folder / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Classical:
    bits = 64

    def embed(self, pixels, bits):
        marked = self._kind([int(bit) for bit in bits], wmLen=self.bits).encode(np.ascontiguousarray(pixels[..., ::-1]))
        return np.ascontiguousarray(marked[..., ::-1])

    def detect(self, pixels):
        with np.errstate(all="ignore"):
            read = self._kind([], wmLen=self.bits).decode(np.ascontiguousarray(pixels[..., ::-1]))
        return np.asarray(read, np.uint8)


class DwtDct(_Classical):
    name = "dwtDct"

    def __init__(self):
        self._kind = _inside("maxDct").EmbedMaxDct


class DwtDctSvd(_Classical):
    name = "dwtDctSvd"

    def __init__(self):
        self._kind = _inside("dwtDctSvd").EmbedDwtDctSvd


class RivaGan:
    """32 bits, by two networks; as the package calls them: blue first, -1 to 1, one frame."""

    name, bits = "rivaGan", 32

    def __init__(self):
        import onnxruntime

        folder = Path(find_spec("imwatermark").submodule_search_locations[0])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(
                str(folder / f"rivagan_{half}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for half in ("encoder", "decoder")
        )

    def _frame(self, pixels):
        return (pixels[..., ::-1].astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None, :, None]

    def embed(self, pixels, bits):
        (output,) = self._encoder.run(None, {"frame": self._frame(pixels), "data": np.array([bits], np.float32)})
        marked = (np.clip(output[0, :, 0], -1, 1) + 1) * 127.5
        return np.ascontiguousarray(marked.transpose(1, 2, 0)[..., ::-1].astype(np.uint8))

    def detect(self, pixels):
        (read,) = self._decoder.run(None, {"frame": self._frame(pixels)})
        return (read[0] > 0.52).astype(np.uint8)


class BlindWatermark:
    name, bits = "blind-watermark", 64

    def __init__(self):
        from unittest.mock import patch

        with patch("multiprocessing.set_start_method"):  # it sets the one of the whole process
            import blind_watermark
        blind_watermark.bw_notes.close()
        self._kind = blind_watermark.WaterMark

    def embed(self, pixels, bits):
        mark = self._kind(password_wm=1, password_img=1)
        mark.read_img(img=np.ascontiguousarray(pixels[..., ::-1]))
        mark.read_wm(np.asarray(bits, bool), mode="bit")
        return np.ascontiguousarray(np.clip(np.rint(mark.embed()), 0, 255).astype(np.uint8)[..., ::-1])

    def detect(self, pixels):
        mark = self._kind(password_wm=1, password_img=1)
        read = mark.extract(embed_img=np.ascontiguousarray(pixels[..., ::-1]), wm_shape=self.bits, mode="bit")
        return (np.asarray(read) > 0.5).astype(np.uint8)


PEERS = {kind.name: kind for kind in (DwtDct, DwtDctSvd, RivaGan, BlindWatermark)}
