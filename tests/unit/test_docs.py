"""The documentation: links lead somewhere, lines are short, and words that the glossary replaced stay out of prose."""

import html
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = {"node_modules", "var", "demo", "shared"}  # of others, or made on this machine
PAGES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*.md")
    if not any(part in SKIPPED or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
# Made from the code, with lines as long as they come.
GENERATED = {page for page in PAGES if page.is_relative_to("docs/reference")} | {Path("docs/policy/errors.md")}
WRITTEN = [page for page in PAGES if page not in GENERATED]
PICTURES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*") if path.suffix in {".svg", ".png", ".jpg", ".webp"}
)
DRAWINGS = [picture for picture in PICTURES if picture.suffix == ".svg"]

LINE = 120
# Private words, each with the word of docs/glossary.md that stands for it.
REPLACED = {
    r"houses?": "services, containers",
    r"rooms?": "package",
    r"lends?|lent|borrow(?:s|ed|ing)?": "local evaluation, delegated keys",
    r"sightings?|suspects?": "abuse signals",
    r"settles?|settled": "resolve",
    r"vouch(?:es|ed)?": "assurance, assert",
    r"lean(?:s|ed)?": "fast path",
    r"patience": "client timeout",
    r"intakes?": "upload",
    r"arrivals?": "import, notification",
    r"tak(?:e|es|en|ing) in": "import",
    r"(?:re)?screen(?:ed|ings?)|screens (?!from)": "hash-list match",
    r"restat(?:e|es|ed|ing)": "retention tags",
    r"anew": "again, new names",
    r"put(?:s)? back": "requeue, return",
    r"strays?": "inconsistent",
    r"traced|traces": "trace search, trace result, trace job",
    r"caged?|cages": "sandbox",
    r"confin(?:e|es|ed)": "seccomp",
    r"bells?": "ready pipe",
    r"marks?|marked|hidden mark": "visible watermark, invisible watermark",
    r"hold (?:clear|reported)": "report flag",
}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_relative_link_leads_somewhere(page):
    text = without_code((ROOT / page).read_text("utf-8"))
    broken = [target for target in links(text) if not leads_somewhere(page, target)]
    assert not broken


@pytest.mark.parametrize("page", WRITTEN, ids=str)
def test_no_line_of_prose_is_longer_than_a_line_of_code(page):
    lines = prose((ROOT / page).read_text("utf-8")).splitlines()
    assert not [line for line in lines if len(line) > LINE]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_prose_keeps_to_the_words_of_the_glossary(page):
    text = words((ROOT / page).read_text("utf-8"))
    assert not replaced_words(text)


@pytest.mark.parametrize("drawing", DRAWINGS, ids=str)
def test_drawings_keep_to_the_words_of_the_glossary(drawing):
    assert not replaced_words(drawn_text((ROOT / drawing).read_text("utf-8")))


def test_every_picture_is_shown_by_a_page():
    shown = {(ROOT / page).parent / target for page in PAGES for target in links((ROOT / page).read_text("utf-8"))}
    assert {ROOT / picture for picture in PICTURES} <= {target.resolve() for target in shown}


@pytest.mark.parametrize(
    ("drawing", "word"),
    [
        ('<text x="0">the&#160;cage</text>', "caged?|cages"),
        ("<tspan>choice everyone, hold&#160;</tspan><tspan>clear</tspan>", r"hold (?:clear|reported)"),
        ("<!-- with a hidden mark --><path d='M 0 0'/>", "marks?|marked|hidden mark"),
        ("<svg aria-label='Sightings a day'></svg>", "sightings?|suspects?"),
    ],
)
def test_a_replaced_word_is_seen_in_the_text_of_a_drawing(drawing, word):
    assert list(replaced_words(drawn_text(drawing))) == [word]


def test_the_names_and_styles_of_a_drawing_are_no_text():
    drawing = "<style>.mark { fill: red }</style><g id='mark'><text class='cage'>A sandbox.</text></g>"
    assert not replaced_words(drawn_text(drawing))


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("A picture in the house is shown.", True),
        ("A `house` and a [page](house.md) are identifiers.", False),
        ("```\nthe cage\n```\nA sandbox.", False),
        ("An invisible watermark, and a delete marker.", False),
        ("The faint mark.", True),
        ("A photograph of a screen.", False),
        ("The picture was screened.", True),
        ("| a table | with a hidden mark |", True),
    ],
)
def test_a_replaced_word_is_seen_in_prose_and_nowhere_else(text, is_seen):
    assert is_seen == bool(replaced_words(words(text)))


def test_a_link_into_a_page_needs_its_heading():
    assert leads_somewhere(Path("README.md"), "docs/architecture.md#floors")
    assert not leads_somewhere(Path("README.md"), "docs/architecture.md#cellars")
    assert not leads_somewhere(Path("README.md"), "docs/cellars.md")


def replaced_words(text: str) -> dict[str, str]:
    """Return the private words of a text, each with the word that stands for it."""
    return {word: instead for word, instead in REPLACED.items() if re.search(rf"\b(?:{word})\b", text, re.IGNORECASE)}


def drawn_text(drawing: str) -> str:
    """Return what an SVG says: its text, its labels, and its comments, in which Matplotlib keeps the text of paths."""
    drawing = re.sub(r"<style.*?</style>", "", drawing, flags=re.DOTALL)
    labels = re.findall(r"""aria-label=(["'])(.*?)\1""", drawing)
    shown = re.sub(r"<[^>]*>", "", re.sub(r"<!--(.*?)-->", r" \1 ", drawing, flags=re.DOTALL))
    return " ".join(html.unescape(" ".join([shown, *(label for _, label in labels)])).split())


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures, but for those of other hosts."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, heading = target.partition("#")
    path = (ROOT / page).parent / unquote(name) if name else ROOT / page
    if not path.exists():
        return False
    return not heading or heading in headings(path.read_text("utf-8"))


def headings(text: str) -> set[str]:
    """Return the anchors that a forge gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def prose(text: str) -> str:
    """Return the lines of a page that are sentences, with each link's target and each span of code shortened."""
    text = re.sub(r"<!--.*?-->", "", without_code(text), flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "!["))]
    return without_spans("\n".join(lines))


def words(text: str) -> str:
    """Return what a page says, tables and pictures' texts included; no code, no targets of links."""
    return without_spans(without_code(text))


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def without_spans(text: str) -> str:
    text = re.sub(r"`[^`]*`", "`", text)
    return re.sub(r"\]\([^)]*\)", "]", text)
