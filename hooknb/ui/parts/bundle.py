"""The JavaScript of all parts, bundled so that a page gets it once.

The code of a widget is saved with the notebook that shows it. A panel has about thirty parts: one
of them carries the code of all, and the others only a stub that looks theirs up.

The files are ES modules that import each other, so that editors, type checkers and Node can read
them. anywidget loads a single module from text, so they are linked into one here, without a build
step.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Final

__all__ = ["code", "link", "style"]

_UI: Final = Path(__file__).parent.parent
_COMMON: Final = _UI / "parts" / "common.css"

_PLACE: Final = """const place = (globalThis[Symbol.for("hooknb.{digest}")] ??= {{}});
place.parts ??= new Promise((resolve) => {{ place.resolve = resolve; }});
"""
_ASKS: Final = """export default {{
  async render(given) {{
    return (await place.parts)["{module}"].render(given);
  }},
}};
"""

_IMPORT: Final = re.compile(r'^import \{([\w\s,]+)\} from "(\.[\w./-]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ((?:async )?function|const|class) (\w+)", re.MULTILINE)
_DEFAULT: Final = re.compile(r"^export default ", re.MULTILINE)
_OTHER: Final = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def code(module: str, *, carries: bool) -> str:
    """Return the code of a part's widget: that of all parts, or a stub that looks its own up.

    A page needs one part that ``carries``; the order in which parts are shown does not matter.
    """
    whole = _whole()
    place = _PLACE.format(digest=hashlib.sha256(whole.encode()).hexdigest()[:16])
    if not carries:
        return place + _ASKS.format(module=module)
    return f'{place}{whole}place.resolve?.(parts);\nexport default parts["{module}"];\n'


@cache
def style() -> str:
    """Return the style sheets of all parts, the common one first; the order of others is free."""
    others = sorted(set(_UI.rglob("*.css")) - {_COMMON})
    return "\n".join(sheet.read_text() for sheet in [_COMMON, *others])


@cache
def _whole() -> str:
    return link(_UI, sorted(path.relative_to(_UI).as_posix() for path in _UI.rglob("*.js")))


def link(root: Path, modules: list[str]) -> str:
    """Return one text with the code of modules and their imports.

    Each module becomes a function that is called once, after those that it imports, and exposes
    only its exports. ``parts`` holds the default exports. Paths of modules are relative to
    ``root``.

    Raises
    ------
    ValueError
        For an import or export in another form than ``import { a, b } from "./c.js";``,
        ``export function``, ``export const``, ``export class`` and ``export default``, with one
        name each; for a name that the other module does not export; for circular imports.
    """
    linked: dict[str, frozenset[str]] = {}
    blocks: list[str] = []
    for module in modules:
        _link(root, module, linked, blocks, ())
    names = list(linked)
    parts = "".join(
        f'  "{module}": m{names.index(module)}.byDefault,\n'
        for module in modules
        if "byDefault" in linked[module]
    )
    return f"{''.join(blocks)}const parts = {{\n{parts}}};\n"


def _link(
    root: Path,
    module: str,
    linked: dict[str, frozenset[str]],
    blocks: list[str],
    importers: tuple[str, ...],
) -> None:
    if module in linked:
        return
    if module in importers:
        raise ValueError(f"{module} imports itself, via {', '.join(importers)}")
    text = (root / module).read_text()

    def bring(found: re.Match[str]) -> str:
        other = normpath(join(dirname(module), found[2]))
        wanted = [name for name in re.split(r"[\s,]+", found[1]) if name]
        _link(root, other, linked, blocks, (*importers, module))
        if unknown := set(wanted) - linked[other]:
            raise ValueError(f"{module}: {other} does not export {', '.join(sorted(unknown))}")
        return f"const {{ {', '.join(wanted)} }} = m{list(linked).index(other)};"

    text = _IMPORT.sub(bring, text)
    exported = [found[2] for found in _EXPORT.finditer(text)]
    text = _EXPORT.sub(r"\1 \2", text)
    text, has_default = _DEFAULT.subn("const byDefault = ", text)
    if (other := _OTHER.search(text)) or has_default > 1:
        raise ValueError(f"{module}: cannot be linked: {other[0] if other else 'two defaults'}")
    exported += ["byDefault"] * has_default
    blocks.append(
        f"const m{len(linked)} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();\n"
    )
    linked[module] = frozenset(exported)
