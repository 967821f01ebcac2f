"""Keep pyarrow from importing pandas before anybody uses it: that import costs more than most commands.

pyarrow looks for pandas at its first conversion of a Python value, to recognise data frames and missing values. Before
pandas is imported, there are none to recognise. Once it is, by whomever, pyarrow learns of its data frames at once; of
`pandas.NaT` and `pandas.NA` in lists of Python objects it does not, which is why only commands that write nothing use
this module.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["import_pandas_late"]

_FIRST_CONVERSION = "pyarrow._dataset"


def import_pandas_late() -> None:
    """Let pyarrow believe that there is no pandas until something else in this process imports it."""
    if not {"pandas", _FIRST_CONVERSION} & sys.modules.keys() and not any(
        isinstance(it, _Finder) for it in sys.meta_path
    ):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Answer pyarrow's question for pandas once with no, and tell pyarrow when pandas is there."""

    def __init__(self) -> None:
        self._hides_pandas = False
        self._hidden_once = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the real spec of pandas; of other modules None, as they are found elsewhere."""
        if name == _FIRST_CONVERSION:
            self._hides_pandas = self._hidden_once = True
            try:
                _pyarrow().scalar(0)  # Both its Python and its C++ part look once, and remember the answer.
            finally:
                self._hides_pandas = False
        if name != "pandas":
            return None
        if self._hides_pandas:
            raise ModuleNotFoundError("pandas is not needed yet", name=name)
        spec = PathFinder.find_spec(name, path, target)
        # Where pyarrow itself asks first, it must not be asked again from within: it would wait for itself.
        if self._hidden_once and spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader)
        return spec


class _Telling(Loader):
    """Load pandas as its own loader does, then have pyarrow look again."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if "pyarrow.lib" in sys.modules:
            _pyarrow()._pandas_api.pd  # noqa: B018 - looks again

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _pyarrow() -> Any:
    from pyarrow import lib

    return lib
