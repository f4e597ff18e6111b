"""Expressions in CEL, the Common Expression Language: ``body.status == "paid"``.

They see the roots ``headers``, ``query``, ``body``, ``nodes``, ``env`` and ``now``, and inside of
a loop ``item`` and ``index``. They compute and do nothing else, so that a definition that comes
from elsewhere is safe to evaluate. What one should know of CEL:

* A missing key is an error: ask ``has(body.amount)`` first. A body that is absent is ``null``
  where it is named as a whole, and an object without keys where something in it is.
* It compares whole numbers with others and does not mix them in arithmetic:
  ``double(body.amount) * 1.25``.
* Headers are found by their names as written anywhere in the expression, whatever the case, and
  by those in lower case: ``headers["x-request-id"]``.
* Whole numbers beyond 64 bits are doubles inside of an expression, as CEL has none. An
  expression that is only a path (``body.order.id``) has the value itself, with every digit.
* What CEL has no type for is handed over as text: objects of Python's classes.

Nothing here goes on for ever. An expression sees at most 100,000 values, which CEL copies in half
a second, while no other thread runs; one that names more is an error. CEL has no loops but
``all``, ``exists``, ``exists_one``, ``map`` and ``filter``, which may be nested, and the cost of
``map`` is the square of the elements. So each step asks for the time, and a loop ends with an
error once the evaluation has computed for more than a second. Without loops the time grows with
what is handed over, and with the text that a regular expression reads. An expression has at most
4,000 characters and sees values nested 500 levels deep, since CEL follows deeper ones until the
process dies.
"""

from __future__ import annotations

from hooknb.expressions.cel import compile_expression, evaluate
from hooknb.expressions.cel_values import MAX_VALUES, TooManyValuesError

__all__ = ["MAX_VALUES", "TooManyValuesError", "compile_expression", "evaluate"]
