"""Values of numpy and pandas as Python's own, without loading either."""

from __future__ import annotations

from typing import Any

__all__ = ["as_python"]


def as_python(value: object) -> Any:
    """Return a scalar or an array of numpy, or a series of pandas, as Python's numbers and lists.

    Raises
    ------
    TypeError
        It is none.
    """
    if hasattr(value, "dtype") and callable(listed := getattr(value, "tolist", None)):
        made = listed()
        if type(made) is not type(value):  # a long double stays one
            return made
    message = f"{type(value).__name__} is not a JSON value"
    raise TypeError(message)
