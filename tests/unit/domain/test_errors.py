import inspect
import re

from domain import errors


def test_every_error_is_public_and_drawn_in_the_tree_below_its_parent():
    parents, branch = {}, ["MyriadError"]
    for bars, name in re.findall(r"^([ |]*)\+-- (\w+)", errors.__doc__, flags=re.MULTILINE):
        depth = 1 + len(bars) // 5
        branch[depth:] = [name]
        parents[name] = branch[depth - 1]
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.MyriadError]
    assert parents == {kind.__name__: kind.__base__.__name__ for kind in classes}
    assert {"MyriadError", *parents} == {name for name in errors.__all__ if name[0].isupper()}
