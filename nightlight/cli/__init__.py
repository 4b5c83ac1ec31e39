"""The ``nightlight`` command."""
