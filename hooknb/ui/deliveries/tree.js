// @ts-check
// A value as a tree of foldable lines; each leaf can be taken as a variable.

import { bdi, button, grouped, h, replace, visible } from "../parts/common.js";

const INDENT = 14;
const MOST_INDENTED = 40;
const BRACKETS = { object: ["{", "}"], list: ["[", "]"] };

/** A variable's title beside the value that it takes. */
export function chip(title, attributes) {
  return h("span", { class: "hk-badge hk-ok hk-chip", ...attributes }, bdi(title));
}

/** A button that takes a value as a variable: `take` gets the argument of hook.add_variable. */
export function takeButton(name, take, attributes) {
  return button(["+ take ", bdi(name)], () => take(name), {
    class: "hk-link hk-take",
    title: "Take it as a variable, in a new revision: hook.add_variable(…)",
    ...attributes,
  });
}

// lines: [depth, key, kind, text, name, isLeaf, count], from hooknb.history.table.details.
// chips: Map of a variable's name to its title. folds: Map of names to whether they are unfolded,
// kept by the caller so that the next delivery is unfolded the same way.
export function valueTree({ lines, label, chips, folds, take }) {
  const ends = new Int32Array(lines.length);
  const above = new Int32Array(lines.length);
  const opener = new Int32Array(lines.length);
  const stack = [];
  lines.forEach(([depth, , kind], at) => {
    while (stack.length && lines[stack[stack.length - 1]][0] >= depth) {
      const container = stack.pop();
      const closes = kind === "end" && lines[container][0] === depth;
      ends[container] = closes ? at + 1 : at;
      if (closes) opener[at] = container;
    }
    above[at] = stack.length ? stack[stack.length - 1] : -1;
    if (kind === "object" || kind === "list") stack.push(at);
    else ends[at] = at + 1;
  });
  for (const container of stack) ends[container] = lines.length;

  const hasInner = (at) => at + 1 < lines.length && lines[at + 1][0] > lines[at][0];
  const unfoldedAtFirst = (depth) =>
    depth === 0 || (depth === 1 && lines.length <= 400) || lines.length <= 60;
  const foldKey = (at) => lines[at][4] ?? `${label} ${at}`;
  const isUnfolded = (at) => folds.get(foldKey(at)) ?? unfoldedAtFirst(lines[at][0]);

  const drawn = new Map();
  let active = 0;
  const tree = h("div", {
    role: "tree",
    class: "hk-tree hk-mono",
    "aria-label": label,
    "data-lm-suppress-shortcuts": "true",
    onkeydown: keys,
    onclick: (event) => {
      const element = event.target.closest('[role="treeitem"]');
      if (!element || event.target.closest(".hk-take")) return;
      if (String(getSelection())) return;
      move(element.at);
      if (hasInner(element.at)) toggle(element.at);
    },
    onfocusin: (event) => {
      const element = event.target.closest('[role="treeitem"]');
      if (element) mark(element.at);
    },
  });

  function value(at, unfolded) {
    const [, , kind, text, , , count] = lines[at];
    const pair = BRACKETS[kind];
    if (!pair) return bdi(text, { class: `hk-kind-${kind}` });
    const [open, close] = pair;
    if (count === 0) return h("span", {}, `${open}${close}`);
    if (unfolded) return h("span", {}, open);
    const unit = kind === "list" ? "item" : "key";
    const said = `${grouped(count)} ${unit}${count === 1 ? "" : "s"}`;
    return h("span", {}, `${open} `, h("span", { class: "hk-soft" }, said), ` ${close}`);
  }

  function beside(at) {
    const [, , kind, , name, isLeaf] = lines[at];
    if (name === null || name === undefined || kind === "end") return null;
    if (chips.has(name)) return chip(chips.get(name), { title: `variable ${visible(name)}` });
    return isLeaf ? takeButton(name, take, { tabindex: "-1" }) : null;
  }

  function fill(element, at) {
    const [depth, key, kind] = lines[at];
    const isEnd = kind === "end";
    const folding = hasInner(at);
    const unfolded = folding && isUnfolded(at);
    if (folding) element.setAttribute("aria-expanded", String(unfolded));
    const sign = folding ? (unfolded ? "▾" : "▸") : "";
    const parent = above[at] >= 0 ? lines[above[at]][2] : null;
    replace(
      element,
      h("span", { class: "hk-fold", "aria-hidden": "true" }, sign),
      h(
        "span",
        { class: "hk-line-text" },
        key === null || isEnd
          ? null
          : [
              bdi(key === "" ? '""' : key, { class: parent === "list" ? "hk-soft" : "hk-key" }),
              h("span", { class: "hk-soft" }, ": "),
            ],
        isEnd ? BRACKETS[lines[opener[at]][2]]?.[1] ?? "" : value(at, unfolded),
      ),
      isEnd ? null : beside(at),
    );
    element.style.paddingInlineStart = `${Math.min(depth, MOST_INDENTED) * INDENT}px`;
  }

  function line(at) {
    const isEnd = lines[at][2] === "end";
    const element = isEnd
      ? h("div", { class: "hk-line", "aria-hidden": "true" })
      : h("div", {
          role: "treeitem",
          class: "hk-line",
          "aria-level": String(lines[at][0] + 1),
          tabindex: "-1",
        });
    element.at = at;
    drawn.set(at, element);
    fill(element, at);
    return element;
  }

  function inside(from, end) {
    const made = [];
    for (let at = from; at < end; ) {
      made.push(line(at));
      at = hasInner(at) && isUnfolded(at) ? at + 1 : ends[at];
    }
    return made;
  }

  function toggle(at) {
    const unfold = !isUnfolded(at);
    folds.set(foldKey(at), unfold);
    const element = drawn.get(at);
    if (unfold) {
      element.after(...inside(at + 1, ends[at]));
    } else {
      while (element.nextSibling && element.nextSibling.at < ends[at]) {
        drawn.delete(element.nextSibling.at);
        element.nextSibling.remove();
      }
    }
    fill(element, at);
  }

  function mark(at) {
    const reach = (element, index) => {
      for (const one of [element, element?.querySelector(".hk-take")]) if (one) one.tabIndex = index;
    };
    reach(drawn.get(active), -1);
    active = at;
    reach(drawn.get(at), 0);
  }

  function move(at) {
    mark(at);
    drawn.get(at)?.focus();
  }

  function neighbour(element, way) {
    let next = element?.[way];
    while (next && next.getAttribute("role") !== "treeitem") next = next[way];
    return next?.at;
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const onButton = event.target.closest(".hk-take");
    if (onButton && (event.key === "Enter" || event.key === " ")) {
      event.stopPropagation();
      return;
    }
    const element = drawn.get(active);
    const folding = hasInner(active);
    const unfolded = folding && isUnfolded(active);
    let to;
    if (event.key === "ArrowDown") to = neighbour(element, "nextSibling");
    else if (event.key === "ArrowUp") to = neighbour(element, "previousSibling");
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = last();
    else if (event.key === "ArrowRight" && unfolded) to = active + 1;
    else if (event.key === "ArrowLeft" && !unfolded) to = above[active];
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") folding && toggle(active);
    else if (event.key === "Enter" || event.key === " ") folding && toggle(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (to !== undefined && to >= 0) move(to);
  }

  function last() {
    const element = tree.lastElementChild;
    const isItem = element?.getAttribute("role") === "treeitem";
    return isItem ? element.at : neighbour(element, "previousSibling");
  }

  tree.append(...inside(0, lines.length));
  drawn.get(0)?.setAttribute("tabindex", "0");
  return {
    element: tree,
    get active() {
      return active;
    },
    focus(at) {
      if (drawn.has(at)) move(at);
    },
  };
}
