"""The browser's code of all parts, which a page gets once.

What a widget is made of is saved with the notebook that shows it. A panel has some thirty parts:
so one of them carries the code of all, and the others only the line that asks for theirs.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["code", "note", "style"]

_UI: Final = Path(__file__).parent.parent
_COMMON: Final = "parts/common"

# The files of each part, by the name of the last one, in the order in which they are put together.
_PARTS: Final[dict[str, tuple[str, ...]]] = {}

_PLACE: Final = """const place = (globalThis[Symbol.for("hooknb.{digest}")] ??= {{}});
place.parts ??= new Promise((resolve) => {{ place.resolve = resolve; }});
"""
_ASKS: Final = """export default {{
  async render(given) {{
    return (await place.parts).get("{name}").render(given);
  }},
}};
"""


def note(pieces: tuple[str, ...]) -> None:
    """Have a part's files in the bundle: paths below this package, without suffix.

    The last one ends with ``export default part(…)``.
    """
    _PARTS[pieces[-1]] = pieces
    _whole.cache_clear()
    style.cache_clear()


def code(name: str, *, carries: bool) -> str:
    """Give the module of a part.

    Parameters
    ----------
    name
        That of its last file.
    carries
        Whether the code of all parts is in it. A page needs one such part; which one it shows
        first does not matter.
    """
    whole = _whole()
    place = _PLACE.format(digest=hashlib.sha256(whole.encode()).hexdigest()[:16])
    if not carries:
        return place + _ASKS.format(name=name)
    return f'{place}{whole}place.resolve?.(parts);\nexport default parts.get("{name}");\n'


@cache
def style() -> str:
    """Give the style sheets of all parts."""
    names = dict.fromkeys([_COMMON, *(piece for part in _PARTS.values() for piece in part)])
    files = [_UI / f"{name}.css" for name in names]
    return "\n".join(file.read_text() for file in files if file.exists())


@cache
def _whole() -> str:
    blocks = [_read(_COMMON), "const parts = new Map();"]
    for name, pieces in sorted(_PARTS.items()):
        body = "\n".join(_read(piece) for piece in pieces)
        # Each part in a scope of its own: the files of one know nothing of another's.
        body = body.replace("export default ", "return ")
        blocks.append(f'parts.set("{name}", (() => {{\n{body}\n}})());')
    return "\n".join(blocks) + "\n"


def _read(name: str) -> str:
    file = _UI / f"{name}.js"
    return file.read_text() if file.exists() else ""  # some have a style sheet only
