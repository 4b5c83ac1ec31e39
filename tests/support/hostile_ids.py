"""Ids that are no ids, and ids that lead elsewhere if they are put into a path or a query as they are."""

# Whatever takes an id refuses these.
NOT_IDS = [
    "", ".", "..", "victim\n", "\nvictim", "victim\r\nX-Evil: 1", "\t", "victim\x00", "\x1b[2Jvictim", "victim\x7f", "victim\x85",
    "\u202evictim", "victim\u200f", "\u2066victim\u2069", "victim\u2028", "\ufeffvictim", "vic\u00adtim", "vic\u200btim", "\ufffd",
    "\ue000", "\ufdd0", "\uffff", "\ud800", "victim\udc00", "v" * 257, "v" * 100_000, "\U0001f47b" * 257,
    None, 7, True, 1.5, b"victim", ["victim"], {"id": "victim"},
]  # fmt: skip
# Whatever takes an id takes these, each as a profile of its own: ``victim`` is another.
ODD_IDS = [
    "zz/../victim", "../profiles/victim", "..%2fprofiles%2fvictim", "/victim", "victim/", "victim/image", "//victim", "/",
    "victim#x", "#", "victim?x=1", "?", "?profile_id=victim", "victim;x", "victim&x", "a+b", "victim%00", "%", "%zz", "%2F",
    "../..", "...", "..victim", ".victim", "%2e%2e", "%2E%2E/victim", ".%2e", "%2e%2e%2fvictim", "%252e%252e", "..\\victim", "\\victim",
    " victim", "victim ", " ", "vic tim", "Victim", "v\u00efctim", "vi\u0308ctim", "\uff56ictim", "\u2024\u2024/victim",
    "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\U0001f47b", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f47b" * 256, "v" * 256,
    "http://127.0.0.1/victim", "{profile_id}", "{0}", "%s", "~victim", "-victim", "--profile=victim", "_victim", "victim'--",
    "<victim>", '"victim"', "=cmd|' /C calc'!A1", "@victim", "victim,other", "victim@example.com", "a1b2_-XYZ", "user:*", "a#member",
]  # fmt: skip
IDS = [*NOT_IDS, *ODD_IDS]
VERSIONS = [
    "1", "1/../../profiles/victim", "../1", "..", "#", "?", "", 0, -1, 2**31, 10**400, 1.0, float("nan"), None, True, b"1", [1],
]  # fmt: skip
