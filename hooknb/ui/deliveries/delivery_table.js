// @ts-check
// The list of deliveries: rows of one height, of which only the visible ones are elements.
// A row is addressed by its ordinal, counted from the oldest; the newest is at the top.

import { bdi, h, milliseconds, replace, visible } from "../parts/common.js";

// Positions in a row as sent: hooknb.history.table.Row.as_list, and the two that
// hooknb.ui.deliveries.windows appends.
const [ID, RECEIVED, STATUS, REFUSED, REASON, CELLS, TOOK, EXECUTION, TONE, SETTLED] = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
];

export function clockTime(milliseconds) {
  const time = new Date(milliseconds);
  const two = (value) => String(value).padStart(2, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

function gridCell(content, kind, title, about) {
  const attributes = { role: "gridcell", class: `hk-grid-cell ${kind ?? ""}`, title, ...about };
  return h("span", attributes, content);
}

function responseBadge(row) {
  const status = row[STATUS];
  const waits = status === null;
  const title = waits
    ? "the caller waits for its response"
    : `response ${status}${row[EXECUTION] ? `; execution ${row[EXECUTION]}` : ""}`;
  const attributes = { class: `hk-badge hk-${row[TONE]}`, title };
  return h("span", attributes, waits ? "…" : String(status));
}

// columns: [name, title, numeric, short title].
function headCells(columns) {
  const cell = (content, kind, title, label) =>
    gridCell(content, kind, title, { role: "columnheader", "aria-label": label });
  const own = columns.map(([name, title, numeric, short]) =>
    cell(bdi(short), numeric ? "hk-right" : "", visible(name), visible(title)),
  );
  return [
    cell("#"),
    cell("received"),
    cell("response"),
    ...(own.length ? own : [cell("")]),
    cell("took", "hk-right"),
  ];
}

function rowCells(row, columns) {
  return [
    gridCell(String(row[ID]), "hk-mono"),
    gridCell(clockTime(row[RECEIVED]), "hk-mono hk-soft", new Date(row[RECEIVED]).toISOString()),
    gridCell(responseBadge(row)),
    ...middleCells(row, columns),
    gridCell(milliseconds(row[TOOK]), "hk-right hk-mono hk-soft"),
  ];
}

// The variables, or the reason of a refusal or failure in their place.
function middleCells(row, columns) {
  const texts = row[CELLS];
  if (row[REASON] !== null) {
    const about = columns.map(([, title], at) => `${visible(title)}: ${visible(texts[at] ?? "")}`);
    const title = [visible(row[REASON]), ...(row[REFUSED] ? [] : about)].join("\n");
    const span = { "aria-colspan": String(Math.max(1, columns.length)) };
    return [gridCell(bdi(row[REASON]), "hk-error hk-wide", title, span)];
  }
  if (columns.length === 0) return [gridCell("")];
  return columns.map(([, , numeric], at) => {
    const text = texts[at] ?? "";
    return gridCell(bdi(text), numeric ? "hk-right hk-mono" : "", visible(text));
  });
}

const ROW = 28;
const HEAD = 30;
const SPARE = 8;
const MOST_KEPT = 6000;
// Browsers lay out nothing beyond about 17 million pixels; the filter reaches older rows.
const MOST_SHOWN = 500000;
const LEAST = 70;
const FEW = 4;
const TOOK_WIDTH = 66;
const TELL_MS = 40;
const RESPONSE_MS = 3000;

// look({first, end, anchor, follows, lacks}) reports the window; choose(id) reports a choice.
export function deliveryTable({ look, choose }) {
  const rows = new Map();
  const drawn = new Map();
  let columns = [];
  let widths = [];
  let total = 0;
  let selected = null;
  let active = null;
  let awaited = null;
  let told = null;
  // When rows were requested that have not arrived yet.
  let asked = null;
  let timer = null;
  let again = null;
  let drawing = null;
  let beforeMiddle = 0;
  let chooseTimer = null;

  const head = h("div", { role: "row", class: "hk-grid-row hk-grid-titles", "aria-rowindex": "1" });
  const body = h("div", { role: "rowgroup", class: "hk-grid-rows" });
  const empty = h("div", { class: "hk-empty hk-soft" });
  const grid = h(
    "div",
    {
      role: "grid",
      class: "hk-grid",
      "aria-label": "Deliveries, newest first",
      "data-lm-suppress-shortcuts": "true",
      onscroll: () => later(),
      onkeydown: keys,
    },
    h("div", { role: "rowgroup", class: "hk-grid-head" }, head),
    body,
    empty,
  );
  const edge = (kind, sign) =>
    h("div", { class: `hk-grid-more ${kind}`, "aria-hidden": "true" }, sign);
  const leftEdge = edge("hk-grid-before", "‹");
  const rightEdge = edge("hk-grid-after", "›");
  const frame = h("div", { class: "hk-grid-frame" }, grid, leftEdge, rightEdge);
  body.addEventListener("click", (event) => {
    const element = event.target.closest(".hk-grid-row");
    if (element) go(element.ordinal, { scroll: false });
  });

  const shown = () => Math.min(total, MOST_SHOWN);
  const indexOf = (ordinal) => total - 1 - ordinal;
  const inner = () => Math.max(ROW, grid.clientHeight - HEAD);
  const follows = () => grid.scrollTop < ROW / 2;
  const sight = () => {
    const first = Math.floor(grid.scrollTop / ROW);
    const end = first + Math.ceil(inner() / ROW) + 1;
    return [Math.min(first, Math.max(0, shown() - 1)), Math.min(shown(), end)];
  };

  // -- drawing ---------------------------------------------------------------------------------

  function later() {
    drawing ??= requestAnimationFrame(() => {
      drawing = null;
      edges();
      draw();
    });
  }

  // Marks the edges beyond which the table can be scrolled sideways.
  function edges() {
    const { scrollLeft, scrollWidth, clientWidth } = grid;
    leftEdge.classList.toggle("hk-grid-seen", scrollLeft > 2);
    rightEdge.classList.toggle("hk-grid-seen", scrollLeft + clientWidth < scrollWidth - 2);
    frame.style.setProperty("--beside", `${grid.offsetWidth - clientWidth}px`);
    frame.style.setProperty("--below", `${grid.offsetHeight - grid.clientHeight}px`);
    grid.style.setProperty("--sight", `${clientWidth - beforeMiddle - 16}px`);
  }

  function template() {
    const digits = String(rows.get(total - 1)?.[ID] ?? total).length;
    const first = [Math.max(34, digits * 7.5 + 14), 72, 66];
    // A few columns shrink to fit; many are scrolled.
    const least = (width) => Math.min(width, columns.length <= FEW ? LEAST : 2 * LEAST);
    const middle = widths.map((width) => `minmax(${least(width)}px, ${width}fr)`);
    beforeMiddle = first.reduce((all, width) => all + width, 8);
    const own = first.map((width) => `${width}px`).join(" ");
    grid.style.setProperty("--columns", `${own} ${middle.join(" ") || "1fr"} ${TOOK_WIDTH}px`);
    const sum = [...first, ...widths.map(least)].reduce((all, width) => all + width, 0);
    grid.style.setProperty("--least", `${sum + TOOK_WIDTH + 16}px`);
    later();
  }

  function drawHead() {
    replace(head, headCells(columns));
    grid.setAttribute("aria-colcount", String(4 + Math.max(1, columns.length)));
  }

  function fill(element, row) {
    element.row = row;
    element.classList.toggle("hk-grid-unknown", !row);
    replace(element, row ? rowCells(row, columns) : gridCell("…", "hk-soft hk-mono"));
  }

  function widen(row) {
    let wider = false;
    row[CELLS].slice(0, widths.length).forEach((text, at) => {
      const width = Math.min(180, text.length * 7.3 + 14);
      if (width <= widths[at]) return;
      widths[at] = Math.ceil(width);
      wider = true;
    });
    return wider;
  }

  function draw() {
    const [first, end] = sight();
    const from = Math.max(0, first - SPARE);
    const to = Math.min(shown(), end + SPARE);
    const wanted = [];
    for (let index = from; index < to; index += 1) wanted.push(total - 1 - index);
    // The focused row stays an element, so that it keeps the focus.
    if (active !== null && active < total && body.contains(document.activeElement)) {
      if (indexOf(active) < from) wanted.unshift(active);
      else if (indexOf(active) >= to) wanted.push(active);
    }
    const staying = new Set(wanted);
    for (const [ordinal, element] of drawn) {
      if (!staying.has(ordinal)) {
        drawn.delete(ordinal);
        element.remove();
      }
    }
    const entry = active !== null && staying.has(active) ? active : wanted[first - from];
    let next = body.firstChild;
    for (const ordinal of wanted) {
      let element = drawn.get(ordinal);
      const isNew = element === undefined;
      if (isNew) {
        element = h("div", { role: "row", class: "hk-grid-row" });
        element.ordinal = ordinal;
        drawn.set(ordinal, element);
      }
      if (isNew || element.row !== rows.get(ordinal)) fill(element, rows.get(ordinal));
      const index = indexOf(ordinal);
      element.style.top = `${index * ROW}px`;
      element.setAttribute("aria-rowindex", String(index + 2));
      const isSelected = selected !== null && element.row?.[ID] === selected;
      element.setAttribute("aria-selected", String(isSelected));
      element.tabIndex = ordinal === entry ? 0 : -1;
      if (element === next) next = next.nextSibling;
      else body.insertBefore(element, next);
    }
    tell();
  }

  // -- messages to the kernel ------------------------------------------------------------------

  function tell() {
    timer ??= setTimeout(() => {
      timer = null;
      const [first, end] = sight();
      const place = {
        first: Math.max(0, total - end),
        end: Math.max(0, total - first),
        anchor: rows.get(total - 1 - first)?.[ID] ?? null,
        follows: follows(),
      };
      let lacks = false;
      for (let ordinal = place.first; ordinal < place.end && !lacks; ordinal += 1) {
        const row = rows.get(ordinal);
        // The kernel does not update rows out of sight: their response may have come since.
        const was = told !== null && ordinal >= told.first && ordinal < told.end;
        lacks = row === undefined || (!was && row !== null && !row[SETTLED]); // null: deleted
      }
      // At the top only the number of rows counts: new deliveries arrive there unasked.
      const same =
        told !== null &&
        told.follows === place.follows &&
        told.end - told.first === place.end - place.first &&
        (place.follows || (told.first === place.first && told.anchor === place.anchor));
      if (same && !lacks) {
        told = place;
        return;
      }
      if (lacks && asked !== null && performance.now() - asked < RESPONSE_MS) {
        // The kernel may be busy: one request at a time. Its response triggers another check.
        if (!same) look({ ...(told = place), lacks: false });
        clearTimeout(again);
        again = setTimeout(tell, RESPONSE_MS);
        return;
      }
      if (lacks) asked = performance.now();
      told = place;
      look({ ...place, lacks });
    }, TELL_MS);
  }

  // -- choosing --------------------------------------------------------------------------------

  function select(id) {
    selected = id;
    for (const element of drawn.values()) {
      element.setAttribute("aria-selected", String(id !== null && element.row?.[ID] === id));
    }
  }

  function chooseSoon(id) {
    select(id);
    clearTimeout(chooseTimer);
    chooseTimer = setTimeout(() => choose(id), 60);
  }

  function keepInSight(index) {
    const top = index * ROW;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + ROW > grid.scrollTop + inner()) grid.scrollTop = top + ROW - inner();
  }

  function go(ordinal, { scroll = true } = {}) {
    active = ordinal;
    if (scroll) keepInSight(indexOf(ordinal));
    draw();
    drawn.get(ordinal)?.focus({ preventScroll: true });
    // Once focused, the active row is among those that stay drawn.
    draw();
    const row = rows.get(ordinal);
    awaited = row ? null : ordinal;
    if (row) chooseSoon(row[ID]);
  }

  function keys(event) {
    if (total === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(inner() / ROW) - 1);
    const at = active === null || active >= total ? -1 : indexOf(active);
    const index = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: Math.max(at, 0) + page,
      PageUp: at - page,
      Home: 0,
      End: shown() - 1,
      Enter: at,
      " ": at,
    }[event.key];
    if (index === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    go(total - 1 - Math.min(Math.max(index, 0), shown() - 1));
  }

  function take(list) {
    let wider = false;
    for (const row of list) {
      rows.set(row[0], row);
      wider = widen(row) || wider;
      if (row[0] === awaited && row[0] === active) {
        awaited = null;
        chooseSoon(row[ID]);
      }
    }
    if (wider) template();
  }

  function forget() {
    if (rows.size <= MOST_KEPT) return;
    const [first, end] = sight();
    for (const ordinal of rows.keys()) {
      const index = indexOf(ordinal);
      if (index < first - 1000 || index > end + 1000) rows.delete(ordinal);
    }
  }

  const resized = new ResizeObserver(() => later());
  resized.observe(grid);
  drawHead();
  template();

  return {
    element: frame,
    // message.place: the ordinal of the chosen row; top: that of the row to put at the top.
    update(message, top) {
      const followed = follows();
      const before = total;
      const offset = grid.scrollTop % ROW;
      const isOther = message.other === true;
      const focused = body.contains(document.activeElement);
      if (isOther || message.columns) {
        rows.clear();
        asked = null;
      }
      if (isOther) {
        told = null;
        active = awaited = null;
        drawn.clear();
        body.replaceChildren();
      }
      if (message.columns) {
        columns = message.columns;
        widths = columns.map(([, , , short]) => Math.min(150, Math.max(60, short.length * 6.6 + 14)));
        drawHead();
        for (const element of drawn.values()) element.row = null;
      }
      if (message.total !== undefined) total = message.total;
      if (message.place !== undefined && (active === null || !focused)) active = message.place;
      take(message.rows ?? []);
      if (message.columns || before !== total) template();
      body.style.height = `${shown() * ROW}px`;
      grid.setAttribute("aria-rowcount", String(total + 1));
      if (isOther && message.reset) grid.scrollTop = 0;
      else if (isOther && top !== undefined) grid.scrollTop = indexOf(top) * ROW + offset;
      else if (!isOther && !followed && total !== before) grid.scrollTop += (total - before) * ROW;
      forget();
      draw();
      if (isOther && focused && active !== null) drawn.get(active)?.focus({ preventScroll: true });
    },
    fill(message) {
      asked = null;
      for (let ordinal = message.first; ordinal < message.end; ordinal += 1) {
        if (!rows.get(ordinal)) rows.set(ordinal, null);
      }
      take(message.rows);
      forget();
      draw();
    },
    // Chosen by another view or another part of the panel.
    chosen(id, place) {
      select(id);
      if (place !== null && place !== undefined && !body.contains(document.activeElement)) {
        active = place;
      }
      draw();
    },
    say(text) {
      empty.textContent = text;
      empty.hidden = text === "";
    },
    focus() {
      const [first] = sight();
      if (total > 0) go(active ?? total - 1 - first);
    },
    end() {
      for (const waiting of [timer, again, chooseTimer]) clearTimeout(waiting);
      if (drawing !== null) cancelAnimationFrame(drawing);
      resized.disconnect();
    },
  };
}
