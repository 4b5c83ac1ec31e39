"""Ids that lead elsewhere if they are put into a path as they are, or that are no ids at all."""

# ``victim`` is a profile that is there; what comes before it may be anything.
IDS = [
    "zz/../victim", "../profiles/victim", "..%2fprofiles%2fvictim", "/victim", "victim/", "victim/image", "//victim",
    "victim#x", "#", "victim?x=1", "?", "?profile_id=victim", "victim;x", "victim&x", "victim%00", "victim\x00",
    "..", ".", "../..", "...", "%2e%2e", "%2E%2E/victim", ".%2e", "%2e%2e%2fvictim", "%252e%252e", "..\\victim", "\\victim",
    "victim\n", "\nvictim", "victim\r\nX-Evil: 1", "\t", " victim", "victim ", "vic tim", "", "v" * 129, "v" * 100_000,
    "v\u00efctim", "\u202evictim", "\uff56ictim", "\u2024\u2024/victim", "\U0001f47b", "\ud800", "victim\u0000",
    "http://127.0.0.1/victim", "{profile_id}", "{0}", "%s", ".victim", "victim:x", "victim|x", "*", "victim'--", "<victim>",
    None, 7, True, 1.5, b"victim", ["victim"], {"id": "victim"},
]  # fmt: skip
VERSIONS = [
    "1", "1/../../profiles/victim", "../1", "..", "#", "?", "", 0, -1, 2**31, 10**400, 1.0, float("nan"), None, True, b"1", [1],
]  # fmt: skip
