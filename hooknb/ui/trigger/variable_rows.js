// @ts-check
// A table of variables, edited in place.

import { bdi, h, lines, part, replace, visible } from "../parts/common.js";
import { resting, settling } from "../parts/settling.js";

const AT_FIRST = 200; // rows drawn at first, and added by each press of "Show more"

export default part((ctx) => {
  const send = settling(ctx);
  let state = null;
  let drawn = AT_FIRST;
  const known = new Map(); // by the row's id
  // The cell last typed into; its pending text is sent before that of another cell.
  let typed = null;
  const typing = resting(() => {
    const { row, column, input } = typed;
    send("cell", { row, column, text: input.value });
  });

  function touch(row, column, input) {
    if (typed?.input !== input) typing.flush();
    typed = { row, column, input };
    typing.touch();
  }

  function entries() {
    return [...body.querySelectorAll("tbody")];
  }

  // Focuses the cell of the same column in the row above or below.
  function go(input, by) {
    const row = input.closest("tbody");
    const rows = entries();
    const next = rows[rows.indexOf(row) + by];
    const cell = next?.querySelector(`[data-column="${input.dataset.column}"]`);
    if (!cell) return false;
    cell.focus();
    return true;
  }

  function cell(id, column, mono) {
    const input = h("input", {
      type: "text",
      class: mono ? "hk-cell hk-mono" : "hk-cell",
      "data-column": column,
      dir: "auto",
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      oninput: () => touch(id, column, input),
      onchange: () => typing.flush(),
      onblur: () => typing.flush(),
      onkeydown: (event) => {
        const by = { Enter: 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (by === undefined || event.isComposing) return;
        event.preventDefault();
        typing.flush();
        go(input, by);
      },
    });
    return input;
  }

  function make(id) {
    const path = cell(id, "path", true);
    const alias = cell(id, "alias", false);
    const sample = cell(id, "sample", true);
    const kind = h(
      "select",
      {
        class: "hk-cell",
        "data-column": "type",
        // Letter keys choose options here; the notebook must not take them as shortcuts.
        "data-lm-suppress-shortcuts": "true",
        onchange: () => send("cell", { row: id, column: "type", text: kind.value }),
      },
      ["", ...state.types].map((name) => h("option", { value: name }, name || "any")),
    );
    const last = h("td", { class: "hk-mono hk-rows-last" });
    const remove = h(
      "button",
      {
        type: "button",
        class: "hk-rows-remove",
        onclick: () => {
          const rows = entries();
          const at = rows.indexOf(element);
          const next = rows[at + 1] ?? rows[at - 1];
          if (typed?.row === id) typing.drop();
          send("remove", { row: id });
          (next?.querySelector(".hk-rows-remove") ?? add).focus();
        },
      },
      "✕",
    );
    const error = h("td", { class: "hk-error hk-rows-error", id: `hk-row-${ctx.view}-${id}` });
    const errorRow = h("tr", { hidden: true }, error);
    error.colSpan = 6;
    const element = h(
      "tbody",
      null,
      h(
        "tr",
        null,
        [path, alias, kind, sample].map((input) => h("td", null, input)),
        last,
        h("td", null, remove),
      ),
      errorRow,
    );
    return { element, path, alias, kind, sample, last, remove, error, errorRow };
  }

  function put(input, text, mine) {
    // Text typed in this view is there already, perhaps with more typed since.
    if (mine || (typing.waits && typed.input === input)) return;
    if (input.value !== text) input.value = text;
  }

  function fill(row, number, from) {
    const { path, alias, kind, sample, last, remove, error, errorRow } = row;
    const [id, pathText, aliasText, type, sampleText, editable, problem, came] = row.data;
    const mine = (column) =>
      from !== undefined && from.view === ctx.view && from.row === id && from.column === column;
    put(path, pathText ?? "", mine("path"));
    put(alias, aliasText, mine("alias"));
    put(kind, type ?? "", mine("type"));
    put(sample, sampleText, mine("sample"));
    sample.readOnly = !editable;
    path.placeholder = pathText === null ? state.hint : `all of the ${state.part}`;
    const name = visible(pathText || `row ${number}`);
    path.setAttribute("aria-label", `${state.word} of row ${number}`);
    alias.setAttribute("aria-label", `alias of ${name}`);
    kind.setAttribute("aria-label", `type of ${name}`);
    sample.setAttribute("aria-label", `sample of ${name}`);
    remove.setAttribute("aria-label", `remove ${name}`);
    remove.title = `Remove ${name}`;
    replace(last, came === null ? h("span", { class: "hk-soft" }, "missing") : bdi(came));
    last.title = came === null ? "" : visible(came);
    error.textContent = lines(problem);
    errorRow.hidden = !problem;
    for (const input of [path, alias, sample]) {
      // The field holds the raw text; invisible characters are shown escaped in the title.
      const text = visible(input.value);
      input.title = text === input.value ? "" : text;
      if (problem) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", error.id);
      } else {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
    }
  }

  function show(from) {
    const wanted = state.rows.slice(0, drawn);
    const ids = new Set(wanted.map(([id]) => id));
    for (const [id, row] of known) {
      if (ids.has(id)) continue;
      row.element.remove();
      known.delete(id);
    }
    let before = head;
    wanted.forEach((data, index) => {
      let row = known.get(data[0]);
      if (row === undefined) {
        row = make(data[0]);
        known.set(data[0], row);
      }
      if (row.data !== data || row.number !== index + 1) {
        row.data = data;
        row.number = index + 1;
        fill(row, index + 1, from);
      }
      // Moving an element takes the focus from it, so it is moved only if necessary.
      if (before.nextElementSibling !== row.element) before.after(row.element);
      before = row.element;
    });
    const left = state.rows.length - wanted.length;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(left, AT_FIRST)} more of ${left}`;
    body.hidden = state.rows.length === 0;
  }

  const caption = h("caption", { class: "hk-hidden" });
  const firstColumn = h("th", { scope: "col" });
  const head = h(
    "thead",
    null,
    h(
      "tr",
      null,
      firstColumn,
      ["alias", "type", "sample", "last delivery"].map((name) => h("th", { scope: "col" }, name)),
      h("th", { scope: "col" }, h("span", { class: "hk-hidden" }, "remove")),
    ),
  );
  const body = h("table", { class: "hk-rows" }, caption, head);
  const add = h("button", {
    type: "button",
    class: "hk-link",
    onclick: () => {
      typing.flush();
      drawn = Math.max(drawn, (state?.rows.length ?? 0) + 1);
      send("add", {});
    },
  });
  const more = h("button", {
    type: "button",
    class: "hk-link",
    hidden: true,
    onclick: () => {
      drawn += AT_FIRST;
      show();
    },
  });
  replace(ctx.el, h("div", { class: "hk-rows-box" }, body), more, add);

  ctx.on("rows", (message) => {
    state = message;
    caption.textContent = message.caption;
    firstColumn.textContent = message.word;
    add.textContent = `+ add a ${message.noun}`;
    show(message.from);
  });

  // Changed rows, by position; the number and order of rows are the same.
  ctx.on("some", ({ rows, from }) => {
    if (state === null) return;
    for (const [index, data] of rows) state.rows[index] = data;
    show(from);
  });

  ctx.on("focus", ({ row }) => known.get(row)?.path.focus());

  // A view that is closed sends nothing more.
  ctx.cleanup(() => typing.drop());
});
