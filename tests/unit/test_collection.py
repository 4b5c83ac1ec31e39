"""No test knows the time before it runs: what is computed at collection is old when a long run comes to it."""

import pytest

from tests.conftest import ROOT
from tests.support.collection import offences

TOKENS = """
from datetime import UTC, datetime, timedelta
import pytest

@pytest.mark.parametrize("changes", [{"issuer": "other"}, {"now": datetime.now(UTC) + timedelta(minutes=20)}])
def test_a_token_for_others_or_other_times_is_refused(changes):
    pass
"""


def test_nothing_reads_a_clock_at_collection():
    tests = ROOT / "tests"
    texts = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8")
        for path in tests.rglob("*.py")
        if "node_modules" not in path.parts
    }
    assert len(texts) > 100
    assert offences(texts) == []


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (TOKENS, "5: datetime.datetime.now"),
        ("import time\nNOW = int(time.time())", "2: time.time"),
        ("from time import monotonic as tick\nclass A:\n    begun = tick()", "3: time.monotonic"),
        ("import datetime\nTODAY = [datetime.date.today() for _ in range(2)]", "2: datetime.date.today"),
        ("import datetime as d\nMADE = {**{'at': d.datetime.now()}}", "2: datetime.datetime.now"),
        ("import time\ndef f(now=time.time()):\n    pass", "2: time.time"),
        ("import time\ndef f(*, now=time.time_ns()):\n    pass", "2: time.time_ns"),
        ("import time\nclass A:\n    def f(self, now=time.time()):\n        pass", "3: time.time"),
        ("import time\ntick = time.perf_counter\nNOW = tick()", "3: time.perf_counter"),
        ("import time\ndef soon():\n    return time.time() + 9\nNOW = soon()", "4: time.time by m.soon"),
        ("import time\nclass Clock:\n    def __init__(self):\n        self.at = time.time()\nC = Clock()",
         "5: time.time by m.Clock"),
        (("from hypothesis import given, strategies as st\nfrom datetime import datetime\n"
         "@given(st.datetimes(max_value=datetime.now()))\ndef test(at):\n    pass"), "3: datetime.datetime.now"),
        ("from nightlight.cli import key_commands\nTOKEN = key_commands.token(None, scopes=None, subject='t', hours=1)",
         "2: nightlight.cli.key_commands.token"),
    ],
)  # fmt: skip
def test_a_clock_that_is_read_at_collection_is_found(text, places):
    assert offences({"m": text}) == [f"m:{places}"]


def test_one_that_another_module_reads_is_found():
    other = "import time\ndef now():\n    return later()\ndef later():\n    return time.time()"
    text = "from tests.support import other\nfrom tests.support.other import now as today\nA = other.now()\nB = today()"
    by = "time.time by tests.support.other.now"
    assert offences({"tests.support.other": other, "m": text}) == [f"m:3: {by}", f"m:4: {by}"]


@pytest.mark.parametrize(
    "text",
    [
        "import time\ndef test():\n    assert time.time()",
        "import time\nNOW = lambda: time.time()",
        "import time\nCLOCK = time.time",
        "import time\nclass A:\n    def f(self):\n        return time.time()",
        "from datetime import UTC, datetime\nNOW = datetime(2026, 11, 22, tzinfo=UTC)",
        "import time\ndef main():\n    return time.time()\nif __name__ == '__main__':\n    main()",
        "import time\nimport pytest\n@pytest.fixture\ndef now():\n    return time.time()",
    ],
)
def test_what_runs_later_may_read_one(text):
    assert offences({"m": text}) == []
