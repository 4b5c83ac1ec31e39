"""The invisible watermark: a number in the pixels by which a stripped, re-encoded or cropped copy is identified.

``payload`` is the number with its keyed check. ``error_correction`` protects its bits. ``layout`` says where the key
puts them. ``lattice`` and ``carriers`` write bits into pixels and read them. ``pilot`` is the pattern by which a copy
is aligned. ``embed`` writes a watermark. ``copy_grid`` and ``synchronise`` find how a copy was cropped, scaled, turned
or mirrored, and ``detect`` reads it. docs/watermark.md has the whole, with its sources and its limits.
"""
