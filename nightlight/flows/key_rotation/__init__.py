"""Rotation of keys: add, promote, retire, each refused while it would break what is shown or read."""
