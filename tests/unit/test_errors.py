import inspect

from nightlight_core import errors


def test_the_tree_is_drawn_as_it_is():
    drawn = errors.__doc__
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.NightlightError)]
    for kind in classes:
        if kind is errors.NightlightError:
            continue
        (line,) = [line for line in drawn.splitlines() if f" {kind.__name__} " in line.replace("─", " ")]
        assert kind.code in line
        assert str(kind.status) in line
        assert ("yes" in line) == kind.retryable
    assert len({kind.code for kind in classes}) == len(classes)
