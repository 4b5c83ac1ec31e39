"""The hidden mark: a number in the pixels that leads a stripped, re-encoded, cropped or photographed copy back.

``payload`` is what is said, ``code`` how it is made hard to lose, ``layout`` where the key puts it, ``frame`` and
``lattice`` how it is written in pixels and read from them, ``embed`` writes, ``synchronise`` finds how a copy was
cropped, scaled, turned or mirrored, and ``detect`` reads. docs/watermark.md tells the whole, with its sources and
its limits.
"""
