"""Nightlight: protects minors' profile pictures on social platforms.

The packages of the code, and which may import which, are drawn in docs/architecture.md.
"""

__version__ = "0.1.0"
