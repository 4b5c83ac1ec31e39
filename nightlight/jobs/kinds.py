"""The kinds of jobs."""

from __future__ import annotations

RENDER = "render"
ERASE = "erase"
RENAME = "rename"
# To look again whether anything is left of what was erased.
PROVE = "prove"
# To tell the buckets what has become of a picture.
RESTATE = "restate"
# These are on a trace: to find where a copy comes from, and to delete the copy.
TRACE = "trace"
FORGET = "forget"
# To copy what a hold covers into the vault.
VAULT = "vault"
# On an arrival: to take a picture in from another bucket. On a sweep: to do its next batch.
TAKE = "take"
SWEEP = "sweep"
# On the hash lists: to hold the next images against them. Its `other_id` says nothing.
RESCREEN = "rescreen"
