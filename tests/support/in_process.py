"""Decodes in this process, without the sandbox: for benches and for tests of pixels, and nothing else."""

from io import BytesIO

from nightlight.imaging.decoded_frame import make_frame


class InProcessDecoder:
    """Returns frames as ``nightlight.imaging.sandbox.Sandbox`` does."""

    def frame(self, data, header, *, edge, region=None, whole=False, stages=None):
        return make_frame(BytesIO(data), header, edge=edge, region=region, whole=whole, stages=stages)
