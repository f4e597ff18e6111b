// @ts-check
// A choice among several values, as a list; or on and off, as a switch.

import { h, part, replace, visible } from "./common.js";
import { settling } from "./settling.js";

export default part((ctx) => {
  const id = `hk-choice-${ctx.view}`;
  const send = settling(ctx);
  let drawn = null;
  let input = null;

  function choose() {
    send("chosen", { at: input.type === "checkbox" ? Number(input.checked) : input.selectedIndex });
  }

  function draw({ label, labels, note, is_switch: isSwitch }) {
    const about = { id, "aria-describedby": note ? `${id}-note` : null, onchange: choose };
    const title = h("label", { for: id, class: isSwitch ? "" : "hk-soft hk-field-label" }, label);
    input = isSwitch
      ? h("input", { ...about, type: "checkbox", role: "switch", class: "hk-switch" })
      : h(
          "select",
          // Letter keys choose options here; the notebook must not take them as shortcuts.
          { ...about, class: "hk-field", "data-lm-suppress-shortcuts": "true" },
          labels.map((text) => h("option", { dir: "auto" }, visible(text))),
        );
    const said = note
      ? h("div", { id: `${id}-note`, class: "hk-soft hk-field-text" }, visible(note))
      : null;
    const line = isSwitch ? h("div", { class: "hk-choice-line" }, input, title) : [title, input];
    replace(ctx.el, h("div", { class: "hk-field-box" }, line, said));
  }

  ctx.on("choice", (state) => {
    // Redrawn only for other options, so that it keeps the focus.
    const shape = JSON.stringify([state.label, state.labels, state.note]);
    if (shape !== drawn) draw(state);
    drawn = shape;
    if (state.is_switch) input.checked = state.at === 1;
    else input.selectedIndex = state.at;
    input.disabled = !state.enabled;
  });
});
