"""The browser's modules: each is valid by itself, and together they are linked into one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import hooknb.ui
from hooknb.ui.parts import bundle

UI = Path(hooknb.ui.__file__).parent
MODULES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*.js"))
PARTS = [module for module in MODULES if "\nexport default " in (UI / module).read_text()]

NODE = shutil.which("node")

with_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")


def node(program: str) -> object:
    """Run a module in Node, and return what it prints as JSON."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", program],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)


@with_node
def test_each_module_can_be_imported_by_itself() -> None:
    files = {module: (UI / module).as_uri() for module in MODULES}
    program = f"""
        const kinds = {{}};
        for (const [name, file] of Object.entries({json.dumps(files)})) {{
          kinds[name] = typeof (await import(file)).default?.render;
        }}
        console.log(JSON.stringify(kinds));
    """
    found = node(program)
    assert found == {name: "function" if name in PARTS else "undefined" for name in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_an_editor_checks_the_types_of_each_module(module: str) -> None:
    assert (UI / module).read_text().startswith("// @ts-check\n")


@with_node
def test_the_part_that_carries_the_code_of_all_lets_the_others_draw(tmp_path: Path) -> None:
    carrier, other = tmp_path / "carrier.mjs", tmp_path / "other.mjs"
    carrier.write_text(bundle.code("head.js", carries=True))
    other.write_text(bundle.code("parts/note.js", carries=False))
    program = f"""
        const waits = (await import({other.as_uri()!r})).default.render({{}});
        const {{ default: head }} = await import({carrier.as_uri()!r});
        // Without a page there is nothing to draw on: the code itself says so.
        const said = await waits.catch((error) => error.name);
        console.log(JSON.stringify([typeof head.render, said]));
    """
    assert node(program) == ["function", "TypeError"]


@with_node
def test_a_module_is_evaluated_once_and_sees_only_what_others_export(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(
        tmp_path,
        counted="let count = 0;\nconst own = 7;\nexport function next() {\n  return ++count;\n}\n",
        one='import { next } from "./counted.js";\n\nexport default [next(), typeof own];\n',
    )
    write(
        tmp_path / "inner",
        two=(
            'import {\n  next,\n} from "../counted.js";\n\n'
            "export const FEW = 3;\nexport class Box {}\nexport default [next(), FEW];\n"
        ),
    )
    text = bundle.link(tmp_path, ["one.js", "inner/two.js"])
    assert node(f"{text}\nconsole.log(JSON.stringify(parts));") == {
        "one.js": [1, "undefined"],
        "inner/two.js": [2, 3],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import * as all from "./other.js";\n', r"one\.js: cannot be linked: import \* as all"),
        ('import other from "./other.js";\n', r"one\.js: cannot be linked: import other"),
        ('import { a as b } from "./other.js";\n', r"other\.js does not export a, as, b"),
        ('import { hidden } from "./other.js";\n', r"one\.js: other\.js does not export hidden"),
        ('import { h } from "preact";\n', r'cannot be linked: import \{ h \} from "preact"'),
        ("export let changing = 1;\n", r"cannot be linked: export let changing"),
        ("const a = 1;\nexport { a };\n", r"cannot be linked: export \{ a \}"),
        ("export default 1;\nexport default 2;\n", r"cannot be linked: two defaults"),
        ('import { one } from "./circle.js";\n', r"one\.js imports itself, via .*circle\.js"),
    ],
)
def test_what_cannot_be_linked_is_an_error_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    write(
        tmp_path,
        one=text,
        other="const hidden = 1;\nexport const shown = 2;\n",
        circle='import { a } from "./one.js";\n\nexport const one = 1;\n',
    )
    with pytest.raises(ValueError, match=message):
        bundle.link(tmp_path, ["one.js"])
