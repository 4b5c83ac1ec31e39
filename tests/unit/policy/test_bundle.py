import base64
import json
import zlib
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from nightlight.delivery.access_tokens import generate_key
from nightlight.policy import bundle_writer, models
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_bundle
from nightlight.policy.signing import MAX_APPROVAL_S, ApprovalSubject, SigningKey, approve, check_approval
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.bundle import FORMAT, _table_from_json, open_bundle, read_unverified
from nightlight_core.policy.dates import digest_of
from nightlight_core.policy.public_keys import PublicKeys
from nightlight_core.policy.table import Table
from nightlight_core.policy.tier import CLAIMS, TierRecipe
from tests.unit.policy.conftest import Edited
from tests.unit.policy.test_dates import rule

FOLDER = Path(__file__).parent / "bundles"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    pairs = {}
    for name in ("publisher", "safety"):
        private, public = generate_key()
        (folder / f"{name}.json").write_text(json.dumps(private))
        (folder / f"{name}.jwks.json").write_text(json.dumps(public))
        pairs[name] = SigningKey.read(folder / f"{name}.json"), PublicKeys.read(folder / f"{name}.jwks.json")
    return pairs


@pytest.fixture(scope="module")
def bundle(compiled, keys):
    return build_bundle(compiled, 7, keys["publisher"][0])


def test_a_bundle_holds_the_whole_policy_in_under_64_kilobytes(compiled, keys, bundle):
    assert len(bundle) < 64_000
    opened = open_bundle(bundle, keys["publisher"][1])
    assert (opened.version, opened.digest) == (7, compiled.table.digest)
    again = compile_bundle(opened)
    assert again.table.digest == compiled.table.digest
    assert again.pack.checks == compiled.pack.checks
    assert list(opened.table.cells) == list(compiled.table.cells)
    assert opened.table.outcomes == compiled.table.outcomes


def test_building_twice_gives_the_same_bytes(compiled, keys, bundle):
    assert build_bundle(compiled, 7, keys["publisher"][0]) == bundle


def test_a_bundle_signed_by_somebody_else_is_refused(keys, bundle):
    with pytest.raises(PolicyRefused, match="not trusted"):
        open_bundle(bundle, keys["safety"][1])


@pytest.mark.parametrize("field", ["payload", "signature", "key_id", "format"])
def test_a_bundle_with_anything_changed_is_refused(keys, bundle, field):
    outer = json.loads(bundle)
    value = outer[field]
    outer[field] = ("A" if value[0] != "A" else "B") + value[1:]
    with pytest.raises(PolicyRefused):
        open_bundle(json.dumps(outer).encode(), keys["publisher"][1])


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"format": 5}', b"[" * 100_000, b"x" * 1_000_001]
)
def test_what_is_no_bundle_is_refused(keys, data):
    with pytest.raises(PolicyRefused):
        open_bundle(data, keys["publisher"][1])


def signed(keys, payload, form=FORMAT):
    """A bundle of any payload, signed by the real publisher: what a broken or hostile builder could make."""
    from nightlight_core.policy.bundle import signed_bytes

    packed = zlib.compress(payload)
    key = keys["publisher"][0]
    return json.dumps(
        {
            "format": form,
            "key_id": key.key_id,
            "payload": base64.b64encode(packed).decode(),
            "signature": base64.b64encode(key.sign(signed_bytes(packed, form))).decode(),
        }
    ).encode()


def payload_of(bundle):
    return json.loads(zlib.decompress(base64.b64decode(json.loads(bundle)["payload"])))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"not json", b"0" * 21_000_000, b'{"version": 1}'])
def test_a_signed_bundle_of_nonsense_is_refused(keys, payload):
    with pytest.raises(PolicyRefused):
        open_bundle(signed(keys, payload), keys["publisher"][1])


def test_a_table_that_is_not_what_its_documents_mean_is_refused(keys, bundle):
    payload = payload_of(bundle)
    payload["documents"]["rules"]["rules"][0]["at_most"]["per_hour"] = 30
    opened = open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])
    with pytest.raises(PolicyRefused, match="not what its documents compile to"):
        compile_bundle(opened)


def test_a_table_whose_cells_were_changed_is_refused(keys, bundle):
    payload = payload_of(bundle)
    cells = bytearray(base64.b64decode(payload["table"]["cells"]))
    cells[1001] ^= 1
    payload["table"]["cells"] = base64.b64encode(bytes(cells)).decode()
    with pytest.raises(PolicyRefused):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


def leaves(plain, path=()):
    """(path, value) of everything in a bundle's payload that is no dictionary and no list; and of empty ones."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    if not items:
        yield path, plain
    for name, value in items:
        yield from leaves(value, (*path, name))


def kind_of(path):
    """A field, whatever it is in the list that it stands in."""
    return tuple("*" if isinstance(name, int) else name for name in path)


def other(value):
    """Values that could be read as this one or that mean more or less."""
    if isinstance(value, bool) or value is None:
        return [not value, "x"]
    if isinstance(value, int):
        return [value + 1, value - 1, str(value), float(value), 10**6]
    if isinstance(value, float):
        return [value / 2, 1.0]
    if isinstance(value, str):
        return [value + "x", value[:-1], "none", 7]
    return [["x"], {"x": 1}, "x"]


def replaced(plain, path, value):
    if not path:
        return value
    copied = dict(plain) if isinstance(plain, dict) else list(plain)
    copied[path[0]] = replaced(plain[path[0]], path[1:], value)
    return copied


# Documents that prove and are compared by a digest of their own (checks, regimes), and examples: no answer rests on them.
NOT_IN_THE_TABLE = {("documents", name) for name in ("cases", "checks", "regimes")}
# What no reader acts on: names and reasons for people, or what is told elsewhere (the version: by the feed, and by the
# approval).
ASIDE = {
    ("documents", "rules", "pack"), ("documents", "rules", "version"), ("documents", "rules", "rules", "*", "why"),
    ("documents", "retention", "retention", "*", "why"), ("documents", "retention", "retention", "*", "id"), ("version",),
}  # fmt: skip


def test_every_field_that_a_reader_acts_on_is_under_the_digest(keys, bundle, compiled):
    """By a publisher's own hand: what is changed is refused, or it is another policy by its digest and its checks."""
    payload = payload_of(bundle)
    paths = {}
    for path, value in leaves(payload):
        paths.setdefault(kind_of(path), []).append((path, value))
    assert len(paths) > 60
    wrong = []
    for kind, values in paths.items():
        if kind in ASIDE or kind[:2] in NOT_IN_THE_TABLE:
            continue
        compiles = kind[0] != "table"  # a table is refused, or not, by whoever reads it: no need to compile
        for path, value in (values[0], values[-1], values[len(values) // 2])[: 2 if compiles else 3]:
            for changed in other(value)[: 2 if compiles else 5]:
                data = signed(keys, json.dumps(replaced(payload, path, changed)).encode())
                try:
                    opened = open_bundle(data, keys["publisher"][1])
                except PolicyRefused:
                    continue
                same = opened.table.digest == compiled.table.digest
                if kind[0] == "table" and same and opened.table.same_as(compiled.table):
                    continue  # read as what it was
                if kind[0] == "table" and kind[1] == "outcomes" and kind[-1] == "*" and same:
                    # The name of a rule is for people; whoever compiles compares that too.
                    assert [replace(outcome, rule="") for outcome in opened.table.outcomes] == [
                        replace(outcome, rule="") for outcome in compiled.table.outcomes
                    ]
                try:
                    again = compile_bundle(opened)
                except PolicyRefused:
                    continue
                wrong.append((path, changed, again.table.digest == compiled.table.digest))
    assert wrong == []


def test_a_bundle_with_something_that_nobody_knows_of_is_refused(keys, bundle):
    payload = payload_of(bundle)
    for path in ((), ("table",), ("documents",)):
        changed = replaced(payload, path, {**(payload[path[0]] if path else payload), "more": 1})
        with pytest.raises(PolicyRefused):
            open_bundle(signed(keys, json.dumps(changed).encode()), keys["publisher"][1])
    with pytest.raises(PolicyRefused):
        open_bundle(json.dumps({**json.loads(bundle), "more": 1}).encode(), keys["publisher"][1])


@pytest.mark.parametrize(
    "rank",
    [[3, 3, 3, 0], [0, 0, 0, 0], [1.0, 1, 1, 0], ["1", 1, 1, 0], [1], [1, 1, 1], [1, 1, 1, 1, 1], True, None],
)
def test_other_ranks_of_tiers_are_refused_by_every_reader(keys, bundle, rank):
    payload = payload_of(bundle)
    number = next(at for at, outcome in enumerate(payload["table"]["outcomes"]) if outcome[1] == "tiny")
    payload["table"]["outcomes"][number][0] = rank
    with pytest.raises(PolicyRefused):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


def test_other_recipes_are_refused_by_every_reader(keys, bundle):
    payload = payload_of(bundle)
    payload["documents"]["tiers"]["tiers"]["tiny"]["edge"] = 2000
    with pytest.raises(PolicyRefused):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("edge", value) for value in (None, True, 16.0, "16", 7, 2049, [16], {})),
        *(("quality", value) for value in (None, 0, 101)),
        *(("max_bytes", value) for value in (499, 4_000_001, 1e6, False)),
        *(("face_px", value) for value in (1, 2049, "12")),
        *(("no_face_px", value) for value in (11, 25, 16.0, "16", True)),
        *((claim, value) for claim in CLAIMS for value in (0.0, 1.5, "0.05", True, float("nan"))),
        *(("variants", value) for value in (0, 3)),
        *(("crop", value) for value in (None, "Face", 1, ["face"])),
        *(
            (field, "other")
            for field in ("format", "visible_watermark", "visible_pattern", "invisible_watermark", "provenance", "more")
        ),
    ],
)
def test_recipes_of_other_types_words_or_ranges_are_refused(keys, bundle, field, value):
    payload = payload_of(bundle)
    payload["documents"]["tiers"]["tiers"]["tiny"][field] = value
    with pytest.raises(PolicyRefused, match=r"signed but cannot be read \((ValueError|TypeError)\)"):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


@pytest.mark.parametrize("recipes", [[], None, {"tiny": None}, {"tiny": []}, {"tiny": {}}, "tiny"])
def test_what_are_no_recipes_is_refused(keys, bundle, recipes):
    payload = payload_of(bundle)
    payload["documents"]["tiers"]["tiers"] = recipes
    with pytest.raises(PolicyRefused, match="signed but cannot be read"):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


def test_a_recipe_is_the_same_as_editors_write_it_and_as_clients_read_it():
    assert models.Tier(edge=16).model_dump() == asdict(TierRecipe(edge=16))
    assert list(models.Tier.model_fields) == [field.name for field in fields(TierRecipe)]


@pytest.fixture
def earlier_payload(edited, keys):
    """A payload as earlier releases built it: of a pack without capture, with outcomes of three ranks."""
    compiled = edited.without_capture().compiled()
    payload = payload_of(build_bundle(compiled, 7, keys["publisher"][0]))
    payload["table"]["outcomes"] = [
        [rank[:3], tier, cache_s, per_hour, rule]
        for rank, tier, cache_s, per_hour, _, rule in payload["table"]["outcomes"]
    ]
    return compiled, payload


@pytest.mark.parametrize("number", [1, 2])
def test_a_bundle_of_an_earlier_format_counts_only_for_who_compiles_it(keys, earlier_payload, number):
    """A deployment that is brought up to date goes on; what was changed in it is refused all the same."""
    compiled, payload = earlier_payload
    payload["digest"] = compiled.table.earlier_digest(number)
    form = f"nightlight-bundle/{number}"
    data = signed(keys, json.dumps(payload).encode(), form)
    with pytest.raises(PolicyRefused, match="build it again"):
        open_bundle(data, keys["publisher"][1])
    opened = open_bundle(data, keys["publisher"][1], earlier=True)
    assert opened.earlier
    assert {outcome.capture for outcome in opened.table.outcomes} == {"forbid"}
    assert compile_bundle(opened).table.digest == compiled.table.digest
    for outcome in payload["table"]["outcomes"]:
        if outcome[1] == "tiny":
            outcome[0] = [3, 3, 3]
    changed = signed(keys, json.dumps(payload).encode(), form)
    if number == 1:  # its digest did not cover ranks: whoever compiles sees it
        opened = open_bundle(changed, keys["publisher"][1], earlier=True)
        with pytest.raises(PolicyRefused, match="not what its documents compile to"):
            compile_bundle(opened)
    else:
        with pytest.raises(PolicyRefused, match="cannot be read"):
            open_bundle(changed, keys["publisher"][1], earlier=True)


def test_a_bundle_of_the_second_format_has_the_digest_that_its_release_gave_it(keys):
    """Built by the release before capture, from a small pack."""
    data = (FOLDER / "bundle-2.json").read_bytes()
    with pytest.raises(PolicyRefused, match="build it again"):
        open_bundle(data, PublicKeys.read(FOLDER / "bundle-2.jwks.json"))
    opened = open_bundle(data, PublicKeys.read(FOLDER / "bundle-2.jwks.json"), earlier=True)
    assert {outcome.capture for outcome in compile_bundle(opened).table.outcomes} == {"forbid"}


@pytest.mark.parametrize("number", [1, 2])
def test_a_bundle_of_an_earlier_format_whose_documents_speak_of_capture_is_refused(keys, bundle, compiled, number):
    payload = payload_of(bundle)
    payload["table"]["outcomes"] = [
        [rank[:3], tier, cache_s, per_hour, rule]
        for rank, tier, cache_s, per_hour, _, rule in payload["table"]["outcomes"]
    ]
    forbidding = [replace(o, rank=(*o.rank[:3], 0), capture="forbid") for o in compiled.table.outcomes]
    table = Table(
        compiled.table.attributes, compiled.table.cells, tuple(forbidding), compiled.table.tiers,
        besides=compiled.table.besides,
    )  # fmt: skip
    payload["digest"] = table.earlier_digest(number)
    data = signed(keys, json.dumps(payload).encode(), f"nightlight-bundle/{number}")
    with pytest.raises(PolicyRefused, match="not what its documents compile to"):
        compile_bundle(open_bundle(data, keys["publisher"][1], earlier=True))


@pytest.mark.parametrize("capture", ["ask", "Allow", "", None, True, 1, ["allow"]])
def test_other_words_of_capture_are_refused_by_every_reader(keys, bundle, capture):
    payload = payload_of(bundle)
    payload["table"]["outcomes"][-1][4] = capture
    with pytest.raises(PolicyRefused, match="signed but cannot be read"):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


def test_documents_with_mistakes_are_refused_with_their_place(keys, bundle):
    payload = payload_of(bundle)
    payload["documents"]["rules"]["rules"][0]["when"] = {"relation": ["sefl"]}
    opened = open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])
    with pytest.raises(PolicyRefused, match=r"rules.yaml.*did you mean 'self'"):
        compile_bundle(opened)


def test_comparing_reads_without_trusting(bundle, compiled):
    assert read_unverified(bundle).digest == compiled.table.digest


@pytest.mark.parametrize("version", [0, -1, 2**31])
def test_versions_out_of_range_are_refused(compiled, keys, version):
    with pytest.raises(PolicyRefused):
        build_bundle(compiled, version, keys["publisher"][0])


WANTED = ApprovalSubject(7, "aa" * 32, "bb" * 32, "cc" * 32, "dd" * 32)
MOMENT = 1_800_000_000


def checked(keys, approval, wanted=WANTED, now=MOMENT):
    return check_approval(approval, wanted, keys["safety"][1], now=now)


def test_an_approval_is_for_one_change_of_one_version_by_one_team(keys):
    approval = approve(WANTED, keys["safety"][0], expires_at=MOMENT + 60)
    assert checked(keys, approval) == keys["safety"][0].key_id
    for wrong in (
        *(
            {**approval, name: value}
            for name, value in WANTED._replace(version=8, base="ee" * 32)._asdict().items()
            if approval[name] != value
        ),
        {**approval, "signature": approval["signature"][::-1]},
        {**approval, "format": "nightlight-approval/1"},
        {**approval, "key_id": "nobody"},
        {**approval, "version": True},
        {**approval, "version": 7.0},
        {**approval, "version": "7"},
        {**approval, "expires_at": MOMENT + 61},
        {**approval, "expires_at": str(MOMENT + 60)},
        {**approval, "note": "more"},
        {"format": approval["format"]},
        None,
        [],
        "approval",
        approve(WANTED, keys["publisher"][0], expires_at=MOMENT + 60),
    ):
        with pytest.raises(PolicyRefused):
            checked(keys, wrong)


@pytest.mark.parametrize("name", ApprovalSubject._fields)
def test_an_approval_of_anything_else_is_none(keys, name):
    """Whatever differs in what is activated, and whoever signed for it."""
    other = WANTED._replace(**{name: 8 if name == "version" else "ee" * 32})
    approval = approve(WANTED, keys["safety"][0], expires_at=MOMENT + 60)
    with pytest.raises(PolicyRefused, match=f"is for {name}"):
        checked(keys, approval, other)
    with pytest.raises(PolicyRefused, match="signature"):
        checked(keys, {**approval, name: other._asdict()[name]}, other)


def test_an_approval_expires_and_may_not_be_made_to_last(keys):
    for after, good in ((60, True), (MAX_APPROVAL_S, True), (0, False), (-1, False), (MAX_APPROVAL_S + 1, False)):
        approval = approve(WANTED, keys["safety"][0], expires_at=MOMENT + after)
        if good:
            assert checked(keys, approval)
        else:
            with pytest.raises(PolicyRefused, match="expired"):
                checked(keys, approval)


def test_an_approval_cannot_pass_for_a_bundle(keys, bundle):
    outer = json.loads(bundle)
    outer["signature"] = approve(WANTED, keys["publisher"][0], expires_at=MOMENT + 60)["signature"]
    with pytest.raises(PolicyRefused, match="signature"):
        open_bundle(json.dumps(outer).encode(), keys["publisher"][1])


def test_keys_do_not_print(keys):
    signing = keys["publisher"][0]
    assert "PrivateKey" not in repr(signing) or "object at" in repr(signing)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"keys": []}', '{"keys": [{"kid": "1", "crv": "Ed25519", "x": "AA"}]}', '{"keys": 5}']
)
def test_files_that_hold_no_keys_are_refused(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(PolicyRefused):
        PublicKeys.read(path)
    with pytest.raises(PolicyRefused):
        SigningKey.read(path)


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """The default pack with a rule of a year to come, and one that ends."""
    pack = Edited(tmp_path_factory.mktemp("dated") / "p")
    pack.add("rules.yaml", rule("later", from_="2027-01-01")).add("rules.yaml", rule("until", until="2026-12-24"))
    return pack.compiled()


@pytest.fixture(scope="module")
def dated_bundle(dated, keys):
    return build_bundle(dated, 8, keys["publisher"][0])


def test_a_bundle_holds_the_table_of_each_date(dated, keys, dated_bundle):
    assert len(dated_bundle) < 100_000
    opened = open_bundle(dated_bundle, keys["publisher"][1])
    assert (opened.digest, [day for day, _ in opened.dated]) == (dated.digest, ["2026-12-25", "2027-01-01"])
    assert [table.digest for _, table in opened.dated] == [period.table.digest for period in dated.dated]
    again = compile_bundle(opened)
    assert (again.digest, again.days) == (dated.digest, dated.days)
    assert build_bundle(again, 8, keys["publisher"][0]) == dated_bundle
    assert opened.timeline.on("2026-12-25") is opened.dated[0][1]


def test_a_bundle_without_dates_is_what_it_was_before_there_were_any(compiled, keys, bundle):
    payload = payload_of(bundle)
    assert "dated" not in payload
    assert payload["digest"] == compiled.table.digest
    assert not {"from", "until"} & {key for rule in payload["documents"]["rules"]["rules"] for key in rule}


def swapped(payload):
    first, second = payload["dated"]
    first["table"], second["table"] = second["table"], first["table"]


def at_once(payload):
    payload["table"] = payload["dated"][0]["table"]


def other_words(payload):
    payload["dated"][0]["table"]["attributes"]["context"].reverse()


# What somebody could do to the dates of a bundle whose digest they cannot change along with it.
TAMPERED = {
    "another day": lambda payload: payload["dated"][1].update({"from": "2036-01-01"}),
    "no day": lambda payload: payload["dated"][1].update({"from": "2027-13-01"}),
    "a month": lambda payload: payload["dated"][1].update({"from": "2027-02"}),
    "a number": lambda payload: payload["dated"][1].update({"from": 20270101}),
    "nothing": lambda payload: payload["dated"][1].update({"from": None}),
    "tables of each other": swapped,
    "the first is the second": at_once,
    "other words": other_words,
    "a date less": lambda payload: payload["dated"].pop(),
    "no date": lambda payload: payload.update(dated=[]),
    "taken out": lambda payload: payload.pop("dated"),
    "no list": lambda payload: payload.update(dated="2027-01-01"),
    "null": lambda payload: payload.update(dated=None),
    "no order": lambda payload: payload["dated"].reverse(),
    "twice": lambda payload: payload["dated"].append(payload["dated"][1]),
    "too many": lambda payload: payload.update(dated=payload["dated"][:1] * 17),
    "a key more": lambda payload: payload["dated"][0].update(until="2027-01-01"),
    "no table": lambda payload: payload["dated"][0].update(table={}),
    "a list for a table": lambda payload: payload["dated"][0].update(table=[]),
}


@pytest.mark.parametrize("how", sorted(TAMPERED))
def test_a_bundle_whose_dates_were_changed_is_refused(keys, dated_bundle, how):
    payload = payload_of(dated_bundle)
    TAMPERED[how](payload)
    with pytest.raises(PolicyRefused, match="signed but cannot be read"):
        open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])


@pytest.mark.parametrize("how", ["another day", "tables of each other", "a date less", "taken out"])
def test_dates_that_are_not_what_the_rules_mean_are_refused_although_digested(keys, dated_bundle, how):
    """What a hostile builder could sign: whoever activates it compiles the rules anew."""
    payload = payload_of(dated_bundle)
    TAMPERED[how](payload)
    tiers, dated = payload["documents"]["tiers"]["tiers"], payload.get("dated", [])
    tables = [
        _table_from_json(plain, tiers, {}, earlier=False)
        for plain in (payload["table"], *(each["table"] for each in dated))
    ]
    later = [(each["from"], table.digest) for each, table in zip(dated, tables[1:], strict=True)]
    payload["digest"] = digest_of(tables[0].digest, later)
    opened = open_bundle(signed(keys, json.dumps(payload).encode()), keys["publisher"][1])
    with pytest.raises(PolicyRefused, match="not what its documents compile to"):
        compile_bundle(opened)


@pytest.mark.parametrize("form", ["nightlight-bundle/1", "nightlight-bundle/2"])
def test_a_bundle_of_an_earlier_format_has_no_dates(keys, dated_bundle, form):
    data = signed(keys, json.dumps(payload_of(dated_bundle)).encode(), form)
    with pytest.raises(PolicyRefused, match="signed but cannot be read"):
        open_bundle(data, keys["publisher"][1], earlier=True)


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_UNPACKED"])
def test_a_bundle_that_no_reader_would_take_is_not_built(compiled, keys, monkeypatch, limit):
    monkeypatch.setattr(bundle_writer, limit, 1000)
    with pytest.raises(PolicyRefused, match="Use fewer words, dates or cases"):
        build_bundle(compiled, 1, keys["publisher"][0])
