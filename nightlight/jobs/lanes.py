"""Lanes: classes of work that do not wait for each other. Each has a queue, and places of its own in the workers.

::

    urgent      what takes something away: erasures and their proof, new names after a revocation, holds, sweeps,
                what is published and held against a changed hash list, removals that are told of
    trace       copies, and exports of a person's own data, that somebody waits for
    upload      pictures that somebody has just uploaded
    background  what may wait: pictures that are slow to decode, pictures of whole buckets, tags

``nightlight.jobs.kinds`` says which lane a kind waits in.
"""

from __future__ import annotations

URGENT, TRACE, UPLOAD, BACKGROUND = "urgent", "trace", "upload", "background"
# In the order in which they are published, and looked for when they are lost.
LANES = (URGENT, TRACE, UPLOAD, BACKGROUND)
# A row's place in that order: what indexes and ORDER BY know.
RANKS = {lane: rank for rank, lane in enumerate(LANES)}
