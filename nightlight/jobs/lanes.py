"""Lanes: classes of work that do not wait for each other. Each has a queue, and places of its own in the workers.

::

    urgent      what takes something away: erasures and their proof, new names after a revocation, holds, sweeps,
                what is published and held against a changed hash list, removals that are told of
    trace       copies that somebody waits for
    upload      pictures that somebody has just uploaded
    background  what may wait: pictures that are slow to decode, pictures of whole buckets, tags
"""

from __future__ import annotations

from nightlight.jobs import kinds

URGENT, TRACE, UPLOAD, BACKGROUND = "urgent", "trace", "upload", "background"
# In the order in which they are published, and looked for when they are lost.
LANES = (URGENT, TRACE, UPLOAD, BACKGROUND)
# A row's place in that order: what indexes and ORDER BY know.
RANKS = {lane: rank for rank, lane in enumerate(LANES)}

# The lane of each kind of job unless whoever asks for it says otherwise.
LANE_OF = {
    kinds.ERASE: URGENT,
    kinds.PROVE: URGENT,
    kinds.RENAME: URGENT,
    kinds.VAULT: URGENT,
    kinds.FORGET: URGENT,
    kinds.SWEEP: URGENT,
    kinds.TRACE: TRACE,
    kinds.RENDER: UPLOAD,
    kinds.TAKE: UPLOAD,
    kinds.RESTATE: BACKGROUND,
    kinds.RESCREEN: URGENT,
}
