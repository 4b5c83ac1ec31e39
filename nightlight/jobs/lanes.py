"""Lanes: classes of work that do not wait for each other. Each has a queue, and places of its own in the workers.

::

    erasure     erasures and their proof: they wait for nothing but each other
    urgent      what else takes something away: new names after a revocation, holds, sweeps, what is published and held
                against a changed hash list, removals that are told of
    trace       copies, and exports of a person's own data, that somebody waits for
    upload      pictures that somebody has just uploaded
    background  what may wait: pictures that are slow to decode, pictures of whole buckets, tags

``nightlight.jobs.kinds`` says which lane a kind waits in.
"""

from __future__ import annotations

ERASURE, URGENT, TRACE, UPLOAD, BACKGROUND = "erasure", "urgent", "trace", "upload", "background"
# In the order in which they are published, and looked for when they are lost.
LANES = (ERASURE, URGENT, TRACE, UPLOAD, BACKGROUND)
# A row's place in that order: what indexes and ORDER BY know. Rows of releases without the first lane have the others'
# numbers from 0, so it has -1.
RANKS = {lane: rank for rank, lane in enumerate(LANES, -1)}
LANE_OF_RANK = {rank: lane for lane, rank in RANKS.items()}
