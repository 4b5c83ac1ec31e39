"""The inputs of a decision: the attributes that a policy may use, and the words that a profile begins with."""

from __future__ import annotations

# What decisions supply, and the word that a profile has before anybody says another.
INPUTS: dict[str, str | None] = {
    "subject_age": "unknown",
    "assurance": "none",
    "relation": None,
    "region": None,
    "viewer": None,
    "context": None,
    "choice": None,
    "report_flag": "clear",
}
# The assurance under which nobody vouches for an age: it counts as unknown. So does one that has lapsed.
UNASSURED = "none"
