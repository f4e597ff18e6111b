// @ts-check
// The picture of the flow: boxes in lists and branches, with lines behind them.

import {
  bdi,
  grouped,
  h,
  milliseconds,
  part,
  replace,
  visible,
} from "../parts/common.js";

const LINE_GAP = 14;
const CORNER = 9;
const WORKED_MILLISECONDS = 3000;
const TYPES = ".hk-side-types button";
const FIELDS = ".hk-form .hk-field";
const GATE = "if it is false, the execution fails";

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// A path down from one point to another that runs sideways at `level`, with rounded corners.
function bent(x1, y1, x2, y2, level) {
  if (Math.abs(x2 - x1) < 1) return `M ${x1} ${y1} V ${y2}`;
  const way = Math.sign(x2 - x1);
  const round = Math.min(CORNER, Math.abs(x2 - x1) / 2, Math.abs(level - y1), Math.abs(y2 - level));
  return [
    `M ${x1} ${y1} V ${level - round}`,
    `Q ${x1} ${level} ${x1 + way * round} ${level}`,
    `H ${x2 - way * round}`,
    `Q ${x2} ${level} ${x2} ${level + round}`,
    `V ${y2}`,
  ].join(" ");
}

// A text cut to one line, or nothing.
function oneLine(text, names) {
  if (!text) return null;
  return h("span", { class: names, dir: "auto", title: visible(text) }, visible(text));
}

const sameList = (one, other) => one.parent === other.parent && one.branch === other.branch;

export default part((ctx) => {
  const { el } = ctx;
  let flow = null;
  let counts = {};
  let way = null;
  let edges = [];
  let boxes = new Map();
  let slots = [];
  let pills = [];
  let drawing = 0;
  let isCentred = false;

  const canvas = h("div", { class: "hk-flow-canvas" });
  const scroll = h("div", { class: "hk-flow-scroll" }, canvas);
  const wayText = h("span", { role: "status" });
  const wayStatus = h("span", { class: "hk-badge" });
  const unlight = h("button", {
    type: "button",
    class: "hk-link hk-flow-close",
    "aria-label": "Close: hide the delivery's path",
    title: "Hide the delivery's path",
    onclick: () => ctx.send("unlight", {}),
  }, "✕");
  const wayNote = h("div", { class: "hk-flow-way", hidden: true }, wayText, wayStatus, unlight);
  const error = h("div", { class: "hk-error hk-flow-error", role: "alert" });
  replace(el, h("div", { class: "hk-flow", onkeydown: onKey }, wayNote, error, scroll));

  // -- boxes ------------------------------------------------------------------------------------

  function choose(key) {
    error.textContent = "";
    ctx.send("choose", { key });
  }

  function nodeBox(item) {
    const stats = h("span", { class: "hk-flow-node-stats" });
    const box = h(
      "button",
      {
        type: "button",
        class: `hk-flow-node hk-flow-tone-${item.tone}${item.wrong ? " hk-flow-node-wrong" : ""}`,
        "aria-pressed": "false",
        "data-key": item.key,
        onclick: (event) => {
          // `detail` counts clicks; it is 0 for the keyboard.
          wanted = event.detail === 0 ? "form" : null;
          choose(item.key);
        },
      },
      h(
        "span",
        { class: "hk-flow-node-head" },
        bdi(item.title, { class: "hk-flow-node-title" }),
        h("span", { class: "hk-soft" }, item.type),
        item.gate ? h("span", { class: "hk-badge", title: GATE }, "must hold") : null,
        item.mark ? h("span", { class: "hk-badge hk-flow-node-mark" }, item.mark) : null,
        item.wrong ? h("span", { class: "hk-badge hk-bad" }, "invalid") : null,
        stats,
      ),
      oneLine(item.line, "hk-flow-node-line hk-mono"),
    );
    boxes.set(item.key, { box, stats, item });
    return box;
  }

  function slot(place, isOnly) {
    const add = h(
      "button",
      {
        type: "button",
        class: "hk-flow-add",
        "aria-label": "Add a node here",
        title: "Add a node here",
        onclick: () => {
          error.textContent = "";
          wanted = "types";
          ctx.send("add", place);
        },
      },
      h("span", { "aria-hidden": "true" }, "+"),
      isOnly ? h("span", {}, place.parent === null ? "Add the first node" : "Add a node") : null,
    );
    const element = h("div", { class: `hk-flow-slot${isOnly ? " hk-flow-slot-only" : ""}` }, add);
    slots.push({ element, add, place });
    return { element, add };
  }

  // -- lists ------------------------------------------------------------------------------------

  // Draws a list; returns its element and the elements at which lines enter and leave it.
  function list(items, parent, branch) {
    const at = { parent, branch };
    const column = h("ol", { class: "hk-flow-list" });
    const first = slot({ ...at, at: 0 }, items.length === 0);
    column.append(h("li", { class: "hk-flow-item" }, first.element));
    const isEmpty = items.length === 0;
    /** @type {any} the preceding box, or the ends of the preceding branches */
    let before = isEmpty ? { element: first.add } : null;
    let entry = isEmpty ? first.add : null;
    let isOpen = true;
    items.forEach((item, index) => {
      const box = nodeBox(item);
      const row = h("li", { class: "hk-flow-item" }, box);
      if (entry === null) entry = box;
      else if (isOpen) join(before, box, () => reached(item.key));
      const outs = below(item, box, row);
      const next = slot({ ...at, at: index + 1 }, false);
      row.append(next.element);
      isOpen = !item.closes;
      before = outs ?? { element: box };
      column.append(row);
    });
    return { column, entry, out: isOpen ? before : null, at, items };
  }

  // Adds lines from the preceding box, or from the ends of the preceding branches.
  function join(before, to, isLit) {
    for (const from of before.ends ?? [before]) {
      edges.push({
        from: from.element,
        to,
        bottom: from.row,
        isLit: () => isLit() && (from.isLit?.() ?? true),
        merges: true,
      });
    }
  }

  function below(item, box, row) {
    if (item.lists.length === 0) return null;
    if (item.frame) {
      const [only] = item.lists;
      const drawn = list(only.items, item.key, only.name);
      const pill = pillOf(item, only);
      const again = h("span", { class: "hk-badge hk-flow-pill", title: "the next iteration" }, "↻");
      const frame = h(
        "div",
        { class: "hk-flow-frame", role: "group", "aria-label": only.label },
        pill,
        drawn.column,
        again,
      );
      if (drawn.out) join(drawn.out, again, () => ended(item.key, only.name));
      row.append(h("div", { class: "hk-flow-gap" }), frame);
      edges.push({ from: box, to: frame, isLit: () => taken(item.key, only.name) });
      edges.push({ from: pill, to: drawn.entry, isLit: () => taken(item.key, only.name) });
      return { element: frame };
    }
    const branches = h("div", { class: "hk-flow-branches" });
    row.append(h("div", { class: "hk-flow-gap" }), branches);
    const ends = [];
    for (const each of item.lists) {
      const pill = pillOf(item, each);
      const drawn = list(each.items, item.key, each.name);
      branches.append(
        h(
          "div",
          { class: "hk-flow-branch", role: "group", "aria-label": visible(each.label) },
          pill,
          oneLine(each.why, "hk-flow-branch-why hk-mono hk-soft"),
          drawn.column,
        ),
      );
      const isTaken = () => taken(item.key, each.name);
      const under = pill.nextElementSibling === drawn.column ? pill : pill.nextElementSibling;
      edges.push({ from: box, to: pill, isLit: isTaken, forks: true });
      edges.push({ from: under, to: drawn.entry, isLit: isTaken });
      for (const end of drawn.out?.ends ?? (drawn.out ? [drawn.out] : [])) {
        const isOut = () => ended(item.key, each.name) && (end.isLit?.() ?? true);
        ends.push({ element: end.element, row: branches, isLit: isOut });
      }
    }
    return { ends };
  }

  function pillOf(item, each) {
    const tone = each.tone ? `hk-${each.tone}` : "";
    const number = h("span", {});
    const pill = h("span", { class: `hk-badge hk-flow-pill ${tone}` }, bdi(each.label), number);
    pills.push({ key: item.key, name: each.name, counted: each.counted, number, pill });
    return pill;
  }

  // -- highlighted path -------------------------------------------------------------------------

  const reached = (key) => way !== null && key in way.nodes;
  const taken = (key, name) => Boolean(way?.lists.some((one) => one[0] === key && one[1] === name));
  const ended = (key, name) => Boolean(way?.ends.some((one) => one[0] === key && one[1] === name));

  function light() {
    wayNote.hidden = way === null;
    if (way !== null) {
      wayText.textContent = visible(way.text);
      wayStatus.textContent = way.status;
      wayStatus.hidden = !way.status;
      wayStatus.className = `hk-badge hk-${way.tone}`;
    }
    const isLit = way !== null && way.is_lit;
    canvas.classList.toggle("hk-flow-lit", isLit);
    for (const [key, { box }] of boxes) {
      box.classList.toggle("hk-flow-node-lit", isLit && reached(key));
      box.classList.toggle("hk-flow-node-failed", way !== null && way.failed.includes(key));
    }
    for (const { key, name, pill } of pills) {
      pill.classList.toggle("hk-flow-pill-lit", taken(key, name));
    }
    draw();
  }

  function count() {
    for (const [key, { stats, item, box }] of boxes) {
      const node = counts[key];
      const runs = node?.runs
        ? `${grouped(node.runs)} run${node.runs === 1 ? "" : "s"} · ${milliseconds(node.mean_ms)}`
        : null;
      const errors = node?.errors
        ? h("span", { class: "hk-error" }, `${node.errors} error${node.errors === 1 ? "" : "s"}`)
        : null;
      replace(stats, runs ? h("span", { class: "hk-soft" }, runs) : null, errors);
      const said = [
        item.title,
        item.type,
        runs,
        errors?.textContent,
        item.wrong ? "invalid" : "",
        item.mark,
        item.line,
      ];
      box.setAttribute("aria-label", said.filter(Boolean).map(visible).join(", "));
    }
    for (const { key, counted, number } of pills) {
      const times = counts[key]?.branches?.[counted];
      number.textContent = times ? ` · ${grouped(times)}` : "";
    }
    draw();
  }

  function mark({ chosen, adding }) {
    for (const [key, { box }] of boxes) box.setAttribute("aria-pressed", String(key === chosen));
    for (const { element, place } of slots) {
      const isHere = adding !== null && sameList(adding, place) && adding.at === place.at;
      element.classList.toggle("hk-flow-slot-here", isHere);
    }
  }

  // -- lines ------------------------------------------------------------------------------------

  const lineLayer = svg("svg", { class: "hk-flow-lines", "aria-hidden": "true" });

  function draw() {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(() => {
      const origin = canvas.getBoundingClientRect();
      if (origin.width === 0) return;
      if (!isCentred && flow !== null) {
        isCentred = true;
        scroll.scrollLeft = (scroll.scrollWidth - scroll.clientWidth) / 2;
        draw();
        return;
      }
      const box = (element) => {
        const { left, right, top, bottom } = element.getBoundingClientRect();
        return {
          x: Math.round((left + right) / 2 - origin.left) + 0.5,
          top: top - origin.top,
          bottom: bottom - origin.top,
        };
      };
      const lines = edges.map((edge) => {
        const from = box(edge.from);
        const to = box(edge.to);
        const lowest = edge.bottom ? box(edge.bottom).bottom : from.bottom;
        const level = edge.forks ? from.bottom + LINE_GAP : lowest + LINE_GAP / 2;
        const isLit = canvas.classList.contains("hk-flow-lit") && edge.isLit();
        const line = svg("path", { d: bent(from.x, from.bottom, to.x, to.top, level) });
        if (isLit) line.setAttribute("class", "hk-flow-line-lit");
        return { line, isLit };
      });
      // Highlighted lines are on top.
      lines.sort((one, other) => one.isLit - other.isLit);
      lineLayer.replaceChildren(...lines.map(({ line }) => line));
    });
  }

  const watcher = new ResizeObserver(draw);
  watcher.observe(canvas);
  ctx.cleanup(() => watcher.disconnect());

  // -- keys -------------------------------------------------------------------------------------

  function onKey(event) {
    const box = event.target.closest?.(".hk-flow-node");
    if (!box || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = [...canvas.querySelectorAll(".hk-flow-node")];
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const sides = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" };
    const side = sides[event.key];
    const branch = side ? box.closest(".hk-flow-branch")?.[side] : null;
    let next = null;
    if (by) next = all[all.indexOf(box) + by];
    else if (side) next = branch?.querySelector(".hk-flow-node") ?? branch?.querySelector("button");
    else return;
    event.preventDefault();
    event.stopPropagation();
    next?.focus();
  }

  function focused() {
    const active = document.activeElement;
    if (!canvas.contains(active)) return null;
    const key = active.getAttribute("data-key");
    if (key !== null) return () => boxes.get(key)?.box;
    const place = slots.find(({ add }) => add === active)?.place;
    return () =>
      slots.find((one) => place && sameList(one.place, place) && one.place.at === place.at)?.add;
  }

  // -- focus ------------------------------------------------------------------------------------

  // The forms beside the picture are separate widgets. In the view that somebody works in, the
  // form or list opened with the keyboard gets the focus once it appears.
  const side = () => el.closest(".hk-flow-split");
  let worked = -Infinity;
  let wanted = null;
  let waiting = null;
  const note = () => (worked = performance.now());
  const isWorkedIn = () => performance.now() - worked < WORKED_MILLISECONDS;
  const isLost = () => [null, document.body].includes(/** @type {HTMLElement} */ (document.activeElement));
  const mounted = setTimeout(() => {
    for (const kind of ["focusin", "focusout", "click"]) side()?.addEventListener(kind, note);
  });
  ctx.cleanup(() => {
    clearTimeout(mounted);
    clearTimeout(waiting);
    for (const kind of ["focusin", "focusout", "click"]) side()?.removeEventListener(kind, note);
  });

  function enter(selector, tries = 30) {
    clearTimeout(waiting);
    const active = /** @type {HTMLElement} */ (document.activeElement);
    // A form field that has the focus keeps it.
    if (active?.matches(FIELDS) && active.offsetParent && side()?.contains(active)) return;
    const found = [...(side()?.querySelectorAll(selector) ?? [])].find(
      (element) => element.offsetParent !== null && !element.disabled,
    );
    if (found) found.focus();
    else if (tries > 0) waiting = setTimeout(() => enter(selector, tries - 1), 50);
  }

  function moveFocus({ chosen, adding }, before) {
    if (wanted === "types" && adding) enter(TYPES);
    else if (wanted === "form" && chosen !== null) enter(FIELDS);
    else if (chosen === null && adding === null && isLost() && isWorkedIn()) {
      (boxes.get(before)?.box ?? canvas.querySelector("button"))?.focus({ preventScroll: true });
    }
    wanted = null;
  }

  // -- messages ---------------------------------------------------------------------------------

  ctx.on("flow", (message) => {
    const again = focused();
    flow = message;
    edges = [];
    boxes = new Map();
    slots = [];
    pills = [];
    const trigger = h(
      "button",
      {
        type: "button",
        class: "hk-flow-node hk-flow-tone-ok hk-flow-node-trigger",
        title: "Open the trigger's settings",
        onclick: () => ctx.send("trigger", {}),
      },
      h(
        "span",
        { class: "hk-flow-node-head" },
        h("span", { class: "hk-flow-node-title" }, "Webhook"),
        h("span", { class: "hk-soft" }, visible(flow.trigger.text)),
      ),
      h("span", { class: "hk-flow-node-line hk-soft" }, visible(flow.trigger.line)),
    );
    const root = list(flow.nodes, null, null);
    const end = h("span", { class: "hk-badge hk-flow-end" }, "end");
    edges.push({
      from: trigger,
      to: root.entry,
      isLit: () => way !== null && (flow.nodes.length === 0 || reached(flow.nodes[0].key)),
    });
    if (root.out) join(root.out, end, () => ended(null, null));
    replace(canvas, lineLayer, trigger, root.column, root.out ? end : null);
    mark(flow);
    count();
    light();
    again?.()?.focus();
  });
  ctx.on("marked", (message) => {
    const before = flow?.chosen;
    flow = { ...flow, ...message };
    mark(message);
    moveFocus(message, before);
  });
  ctx.on("entered", () => isWorkedIn() && enter(FIELDS));
  ctx.on("counts", ({ nodes }) => {
    counts = nodes;
    count();
  });
  ctx.on("way", (message) => {
    way = message.way;
    light();
  });
  ctx.on("error", ({ message }) => (error.textContent = visible(message)));
});
