// @ts-check
// The chosen delivery: its request, response and execution.

import { chip, takeButton, valueTree } from "./tree.js";
import { executionView } from "./waterfall.js";
import {
  bdi, bytes, button, grouped, h, lines, milliseconds, replace, tabList, visible,
} from "../parts/common.js";

const DETAIL_TABS = ["Body", "Headers", "Query", "Variables", "Response", "Raw"];
const DETAIL_KEYS = [
  ["body", "variables"],
  ["headers", "variables"],
  ["query", "variables"],
  ["variables"],
  ["response", "duration_ms"],
  ["raw"],
];

function block(text, label, kind = "hk-text", dir = "auto") {
  const attributes = { class: `hk-mono ${kind}`, dir, tabindex: "0", "aria-label": label };
  return h("pre", attributes, lines(text));
}

const note = (text) => h("p", { class: "hk-soft hk-detail-note" }, visible(text));

function pair(name, value, ...beside) {
  const cell = value === null ? [{ class: "hk-soft" }, "missing"] : [{ class: "hk-mono" }, bdi(value)];
  return h("tr", { class: "hk-taking" }, h("th", { scope: "row" }, name), h("td", ...cell), ...beside);
}

function pairTable(label, head, rows) {
  return h(
    "table",
    { class: "hk-pairs", "aria-label": label },
    h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows),
  );
}

function cutNote(raw, shownAs) {
  if (raw.kept < raw.size) return `, of which the first ${bytes(raw.kept)} are kept`;
  const shown = shownAs === "hex" ? raw.in_hex : raw.in_text;
  return shown === raw.size ? "" : `, the first ${bytes(shown)} are shown`;
}

// take(name) is called with the argument of hook.add_variable; id is that of the tab panel.
export function deliveryDetail({ take, id }) {
  let details = null;
  let tab = 0;
  let tree = null;
  let rawAs = null;
  const folds = new Map();
  const opened = new Set();

  const tabs = h("div", { class: "hk-detail-tabs" });
  const about = h("span", { class: "hk-soft hk-about" });
  const outcome = h("div", { class: "hk-outcome hk-error" });
  // Focusable, so that the keyboard can scroll it; the notebook leaves its arrow keys alone.
  const content = h("div", {
    class: "hk-content",
    id,
    role: "tabpanel",
    tabindex: "0",
    "data-lm-suppress-shortcuts": "true",
  });
  const execution = h("section", { class: "hk-execution", "aria-label": "Execution" });
  const nothing = h("div", { class: "hk-nothing hk-soft" });
  const element = h(
    "section",
    { class: "hk-detail", "aria-label": "The chosen delivery" },
    h("div", { class: "hk-detail-head" }, tabs, about),
    outcome,
    content,
    execution,
    nothing,
  );

  const chips = () => new Map(details.variables.map(([title, name]) => [name, title]));

  // -- tabs ------------------------------------------------------------------------------------

  function partTree(part, label) {
    const made = [];
    if (part.note) made.push(note(part.note));
    if (part.lines.length === 0) return made;
    tree = valueTree({ lines: part.lines, label, chips: chips(), folds, take });
    made.push(tree.element);
    if (part.more) {
      const rest = grouped(part.more);
      made.push(note(`${rest} more values: hook.delivery(${details.id}).${label.toLowerCase()}`));
    }
    return made;
  }

  function headers() {
    const taken = chips();
    const rows = details.headers.map(([name, value, isSecret]) => {
      const path = `headers.${name}`;
      const key = [...taken.keys()].find((item) => item.toLowerCase() === path.toLowerCase());
      const beside = key ? chip(taken.get(key)) : isSecret ? null : takeButton(path, take);
      return pair(bdi(name), value, h("td", { class: "hk-beside" }, beside));
    });
    return [
      rows.length ? pairTable("Headers", ["name", "value", ""], rows) : note("No headers."),
    ];
  }

  function variables() {
    if (details.variables.length === 0) {
      return [note("No variables are configured. Take one from the body, or add one in the Trigger tab.")];
    }
    const rows = details.variables.map(([title, name, text]) =>
      pair(bdi(title, { title: visible(name) }), text),
    );
    return [pairTable("Variables", ["variable", "value"], rows)];
  }

  function response() {
    const sent = details.response;
    if (sent === null) return [note("The caller waits for its response.")];
    const took = milliseconds(details.duration_ms);
    const rows = sent.headers.map(([name, value]) => pair(bdi(name), value));
    return [
      h(
        "p",
        { class: "hk-response" },
        h("span", { class: `hk-badge hk-${sent.tone}` }, String(sent.status)),
        h("span", { class: "hk-soft" }, ` ${bytes(sent.size)} after ${took}`),
      ),
      rows.length ? pairTable("Headers of the response", ["name", "value"], rows) : null,
      sent.binary
        ? note("The body is not text.")
        : sent.text
          ? block(sent.text, "Body of the response")
          : note("The response has no body."),
    ];
  }

  function raw() {
    const kept = details.raw;
    if (kept.size === 0) return [note("The request had no body.")];
    const canText = kept.text !== null;
    const chosen = rawAs === "hex" || !canText ? "hex" : "text";
    const segment = (kind, label) => {
      const show = () => {
        rawAs = kind;
        drawContent();
        content.querySelector('[aria-pressed="true"]')?.focus();
      };
      const cannot = kind === "text" && !canText;
      return button(label, show, {
        "aria-pressed": String(kind === chosen),
        disabled: cannot,
        title: cannot ? "The body is not UTF-8 text" : null,
      });
    };
    return [
      h(
        "div",
        { class: "hk-raw-bar" },
        h("span", { class: "hk-segments", role: "group", "aria-label": "Show as" },
          segment("text", "Text"), segment("hex", "Hex")),
        h("span", { class: "hk-soft" }, bytes(kept.size), cutNote(kept, chosen)),
      ),
      chosen === "text"
        ? block(kept.text, "Body as text")
        : block(kept.hex, "Body as hex", "hk-hex", "ltr"),
    ];
  }

  // -- drawing ---------------------------------------------------------------------------------

  function drawTabs() {
    const focused = tabs.contains(document.activeElement);
    const [query] = details.query.lines;
    const counts = [null, details.headers.length, query?.[6], details.variables.length];
    const list = tabList(
      DETAIL_TABS.map((label, at) => (counts[at] ? `${label} ${counts[at]}` : label)),
      tab,
      (at) => {
        tab = at;
        drawTabs();
        drawContent();
      },
      "What to show of the delivery",
      content,
    );
    replace(tabs, list);
    if (focused) tabs.querySelector('[aria-selected="true"]').focus();
  }

  function drawContent() {
    const focusedAt = tree && tree.element.contains(document.activeElement) ? tree.active : null;
    const scrolled = content.scrollTop;
    tree = null;
    const made = [
      () => partTree(details.body, "Body"),
      headers,
      () => partTree(details.query, "Query"),
      variables,
      response,
      raw,
    ][tab]();
    replace(content, made);
    content.scrollTop = scrolled;
    if (focusedAt !== null) tree?.focus(focusedAt);
  }

  function drawAbout() {
    const type = details.content_type ? details.content_type.split(";")[0] : null;
    about.title = visible(`${details.method} from ${details.remote}, ${details.received}`);
    replace(about, `#${details.id} · ${bytes(details.size)}`, type ? [" · ", bdi(type)] : null);
    const isRefused = details.outcome === "refused";
    outcome.hidden = !isRefused;
    if (isRefused) {
      replace(
        outcome,
        h("strong", {}, "refused: ", bdi(details.reason ?? "")),
        details.detail ? [" — ", bdi(details.detail)] : null,
      );
    }
  }

  function drawExecution() {
    execution.hidden = details.execution === null;
    if (details.execution !== null) replace(execution, executionView(details.execution, opened));
  }

  return {
    element,
    // Shows another delivery, or none: then `text` says why.
    show(given, text) {
      const isOther = given?.id !== details?.id;
      details = given;
      const isThere = details !== null;
      element.classList.toggle("hk-detail-none", !isThere);
      nothing.textContent = isThere ? "" : text;
      if (!isThere) return;
      if (isOther) {
        opened.clear();
        content.scrollTop = 0;
        execution.scrollTop = 0;
      }
      drawTabs();
      drawAbout();
      drawContent();
      drawExecution();
    },
    // Merges changed details of the shown delivery.
    change(changed) {
      if (details === null || changed.id !== details.id) return;
      details = { ...details, ...changed };
      drawTabs();
      drawAbout();
      if (DETAIL_KEYS[tab].some((key) => key in changed)) drawContent();
      if ("execution" in changed) drawExecution();
    },
  };
}
