"""Expressions in CEL, the Common Expression Language: ``body.status == "paid"``.

An expression has the variables ``headers``, ``query``, ``body``, ``nodes``, ``env`` and ``now``,
and ``item`` and ``index`` inside a loop. Expressions have no side effects, so a definition from
elsewhere is safe to evaluate. Properties of CEL to know:

* A missing key is an error: check ``has(body.amount)`` first. An absent body is ``null`` when the
  expression uses it as a whole, and an object without keys when it uses a key in it.
* Integers and doubles can be compared but not mixed in arithmetic: write
  ``double(body.amount) * 1.25``.
* ``headers["X-Request-Id"]`` finds a header in any case; ``headers`` as a whole has each name as
  received and in lower case.
* Integers beyond 64 bits are doubles in an expression, since CEL has no larger ones. An
  expression that is only a path (``body.order.id``) returns the value itself, with every digit.
* Values for which CEL has no type, such as instances of Python classes, are passed as strings.

Evaluation is bounded. An expression may use at most 100,000 values, which CEL copies in half a
second, while no other thread runs; using more is an error. CEL's only loops are ``all``,
``exists``, ``exists_one``, ``map`` and ``filter``, which may be nested, and the cost of ``map``
is quadratic. Each step therefore checks the time, and a loop ends with an error once the
evaluation has used more than a second of processor time. Without loops, time grows linearly with
the values and with the text that a regular expression searches. An expression has at most 4,000
characters and its values at most 500 levels, since CEL crashes the process on deeper ones.
"""

from __future__ import annotations

from hooknb.expressions.cel import TEXT, compile_expression, evaluate
from hooknb.expressions.cel_values import MAX_VALUES, TooManyValuesError

__all__ = ["MAX_VALUES", "TEXT", "TooManyValuesError", "compile_expression", "evaluate"]
