// @ts-check
// The Deliveries tab: the live list with its strip and filter, and the chosen delivery beside it.

import { clockTime, deliveryTable } from "./delivery_table.js";
import { deliveryDetail } from "./detail.js";
import { button, copyButton, grouped, h, part, replace, sayingLine, visible } from "../parts/common.js";

const FILTER_MS = 250;
const PENDING_MS = 1500;
// A kernel that runs a cell may respond late.
const WAIT_MS = 400;

function strip() {
  const element = h("div", { class: "hk-strip", role: "img", "aria-label": "No recent deliveries" });
  let bars = [];
  const newBar = () => {
    const refused = h("i", { class: "hk-strip-refused" });
    const bar = h("span", {}, refused);
    bar.refused = refused;
    return bar;
  };
  element.draw = ([end, length, all, refused]) => {
    if (bars.length !== all.length) {
      bars = all.map(newBar);
      replace(element, bars);
    }
    const most = Math.max(1, ...all);
    all.forEach((count, at) => {
      const bad = refused[at] ?? 0;
      const bar = bars[at];
      bar.style.height = count === 0 ? "0" : `${Math.max(8, (100 * count) / most)}%`;
      bar.refused.style.height = count === 0 ? "0" : `${(100 * bad) / count}%`;
      const from = clockTime(end - length * (all.length - at));
      bar.title = count ? `from ${from}: ${count} received${bad ? `, ${bad} refused` : ""}` : "";
    });
    const sum = (list) => grouped(list.reduce((total, count) => total + count, 0));
    element.setAttribute(
      "aria-label",
      `The last ${(all.length * length) / 60000} minutes: ${sum(all)} deliveries, ` +
        `${sum(refused)} refused, at most ${grouped(Math.max(0, ...all))} in ${length / 1000} seconds`,
    );
  };
  return element;
}

export default part((ctx) => {
  let generation = null;
  let state = { total: 0, kept: 0, scanned: 0, fresh: 0, filter: "", paused: false };
  let selected = null;
  // A choice made in this view that the kernel has not confirmed; messages about others are stale.
  let pending = null;
  let waitTimer = null;
  let filterTimer = null;
  let sentFilter = "";
  let heard = false;

  const bars = strip();
  const filter = h("input", {
    type: "search",
    class: "hk-field hk-mono hk-filter",
    placeholder: "filter: status, text, or body.amount > 100",
    "aria-label": "Filter: status, text, or an expression such as body.amount > 100",
    spellcheck: "false",
    autocomplete: "off",
    "data-lm-suppress-shortcuts": "true",
    oninput: () => {
      noFilterError();
      clearTimeout(filterTimer);
      filterTimer = setTimeout(sendFilter, FILTER_MS);
    },
    onkeydown: (event) => {
      if (event.key === "Enter") sendFilter();
      else if (event.key === "Escape" && filter.value !== "") {
        filter.value = "";
        noFilterError();
        sendFilter();
      } else if (event.key === "ArrowDown") table.focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
  });
  const filterNote = h("div", { class: "hk-filter-note hk-soft", role: "status" });
  const pause = button("Pause", () => ctx.send("pause", { on: !state.paused }), {
    "aria-pressed": "false",
    title: "Freeze the list; new deliveries are still kept",
  });

  function noFilterError() {
    filterNote.className = "hk-filter-note hk-soft";
    filter.removeAttribute("aria-invalid");
  }

  function sendFilter() {
    clearTimeout(filterTimer);
    filterTimer = null;
    if (filter.value === sentFilter) return;
    sentFilter = filter.value;
    ctx.send("filter", { text: sentFilter });
  }

  const table = deliveryTable({
    look: (place) => ctx.send("window", { ...place, generation }),
    choose: (id) => {
      if (id === selected && pending === null) return;
      pending = { id, at: performance.now() };
      selected = id;
      clearTimeout(waitTimer);
      waitTimer = setTimeout(() => detail.element.classList.add("hk-detail-waits"), WAIT_MS);
      ctx.send("choose", { id });
    },
  });
  const detail = deliveryDetail({
    take: (name) => ctx.send("take", { name }),
    id: `hk-content-${ctx.view}`,
  });

  // While somebody works with the chosen delivery, no newer one replaces it.
  let kept = null;
  const hold = () => {
    if (selected === null || selected === kept) return;
    kept = selected;
    ctx.send("hold", {});
  };
  for (const kind of ["pointerdown", "wheel", "focusin"]) {
    detail.element.addEventListener(kind, hold, { passive: true });
  }

  // -- bar -------------------------------------------------------------------------------------

  const { element: said, say, end } = sayingLine();
  const inPython = h("code", { class: "hk-mono" });
  const sendAgain = () => {
    again.disabled = true;
    say("sending …");
    ctx.send("replay", { id: selected });
  };
  const again = button("Send again", sendAgain, {
    title: "Send the same request again: hook.replay(id)",
  });
  const sample = button("Use as sample", () => ctx.send("sample", { id: selected }), {
    title: "Put its body and query into the Trigger tab as samples",
  });
  const curl = copyButton(
    "Copy as curl",
    async () => (await ctx.ask("curl", { id: selected })).text,
    { title: "Copy a command that sends it: hook.curl(id)" },
  );
  const python = h("span", { class: "hk-soft hk-push" }, "in Python: ", inPython);

  // -- drawing ---------------------------------------------------------------------------------

  function drawState() {
    pause.textContent = state.paused ? `Resume (${grouped(state.fresh)} new)` : "Pause";
    pause.setAttribute("aria-pressed", String(state.paused));
    const isFiltered = state.filter !== "";
    const scanning = state.scanned < state.kept;
    if (!filterNote.classList.contains("hk-error")) {
      const progress = scanning ? ` · ${grouped(state.scanned)} searched …` : "";
      filterNote.textContent = isFiltered
        ? `${grouped(state.total)} of ${grouped(state.kept)}${progress}`
        : "";
    }
    let text = "";
    if (heard && state.total === 0) {
      if (state.kept === 0 || !isFiltered) {
        text = "No deliveries yet. Send a test, or give the URL to a sender.";
      } else text = scanning ? "Searching …" : "No delivery matches the filter.";
    }
    table.say(text);
  }

  function drawChosen() {
    for (const one of [again, sample, curl]) one.disabled = selected === null;
    python.hidden = selected === null;
    inPython.textContent = `hook.delivery(${selected})`;
  }

  const nothingChosen = () => (state.kept ? "Choose a delivery to see it." : "");

  function choose({ id, place, details }) {
    const isRecent = pending !== null && performance.now() - pending.at < PENDING_MS;
    if (isRecent && pending.id !== id) return;
    pending = null;
    clearTimeout(waitTimer);
    detail.element.classList.remove("hk-detail-waits");
    selected = id;
    table.chosen(id, place);
    drawChosen();
    detail.show(details, id === null ? nothingChosen() : `#${id} is no longer kept.`);
  }

  const list = h(
    "section",
    { class: "hk-list", "aria-label": "Deliveries" },
    bars,
    h("div", { class: "hk-filters" }, filter, pause),
    filterNote,
    table.element,
  );
  const panes = h("div", { class: "hk-panes" }, list, detail.element);
  const bar = h("div", { class: "hk-bar" }, again, sample, curl, said, python);
  replace(ctx.el, h("div", { class: "hk-deliveries" }, panes, bar));
  drawChosen();
  detail.show(null, "");

  // -- messages of the kernel ------------------------------------------------------------------

  ctx.on("update", (message) => {
    heard = true;
    const { chosen, details, places, rows, strip: drawn, columns, by, ...rest } = message;
    const isOther = message.generation !== generation;
    const reset = "filter" in message && message.filter !== state.filter;
    generation = message.generation;
    for (const key of Object.keys(state)) if (key in rest) state[key] = rest[key];
    if (drawn) bars.draw(drawn);
    table.update(
      { other: isOther, reset, total: rest.total, place: rest.place, rows, columns },
      places?.[ctx.view],
    );
    if ("filter" in rest && by !== ctx.view) {
      // Set in another view; text being typed in this one stays.
      if (filterTimer === null) filter.value = rest.filter;
      sentFilter = rest.filter;
      noFilterError();
    }
    if (selected === null) detail.show(null, nothingChosen());
    drawState();
    if (chosen) choose(chosen);
    if (details) detail.change(details);
  });
  ctx.on("rows", (message) => {
    if (message.generation === generation) table.fill(message);
    else table.fill({ first: 0, end: 0, rows: [] });
  });
  ctx.on("chosen", choose);
  ctx.on("replayed", (message) => {
    again.disabled = selected === null;
    const kept = message.delivery === null ? "" : ` as #${message.delivery}`;
    say(`response ${message.status}${kept}`);
  });
  ctx.on("sampled", (message) => say(`#${message.id} is the sample in the Trigger tab`));
  ctx.on("error", (message) => {
    again.disabled = selected === null;
    if (message.about === "filter") {
      filterNote.className = "hk-filter-note hk-error";
      filterNote.textContent = visible(message.message);
      filter.setAttribute("aria-invalid", "true");
    } else {
      say(message.message, true);
    }
  });
  ctx.cleanup(() => {
    for (const timer of [waitTimer, filterTimer]) clearTimeout(timer);
    end();
    table.end();
  });
});
