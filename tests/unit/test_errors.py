import inspect
import re

from nightlight_core import errors


def test_the_tree_is_drawn_as_it_is():
    drawn = [line for line in errors.__doc__.splitlines() if line.startswith("    ")]
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.NightlightError)]
    parents = {}  # by the names that a line begins with, how deep they are, and the class that they are kinds of
    above = {}
    for line in drawn:
        first, _, rest = re.sub(r"[\u2502\u251c\u2514]", " ", line).lstrip(" \u2500").partition(" \u2500\u2500 ")
        depth = re.search(r"[A-Z]", line).start()
        names = re.findall(r"[A-Z]\w*[a-z]\w*", first)
        above[depth] = names[-1]
        parents |= dict.fromkeys(names, above.get(depth - 4))
        parents |= dict.fromkeys(re.findall(r"[A-Z]\w*[a-z]\w*", rest), names[-1])
    assert parents == {c.__name__: c.__base__.__name__ if c.__base__ in classes else None for c in classes}
    for kind in set(classes) - {errors.NightlightError}:
        (line,) = [line for line in drawn if kind.__name__ in re.findall(r"\w+", line)]
        assert str(kind.status) in line
        assert ("yes" in line) == kind.retryable
        assert kind.code == "_".join(word.lower() for word in re.findall(r"[A-Z][a-z]+", kind.__name__))
    assert len({kind.code for kind in classes}) == len(classes)
