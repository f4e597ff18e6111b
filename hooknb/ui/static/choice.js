// One of several, in a list; or on and off, as a switch.

export default part((ctx) => {
  const id = `hk-choice-${ctx.view}`;
  const send = settling(ctx);
  let input = null;

  function draw({ label, labels, is_switch: isSwitch }) {
    const title = h("label", { for: id, class: isSwitch ? "" : "hk-soft hk-field-label" }, label);
    if (isSwitch) {
      input = h("input", {
        id,
        type: "checkbox",
        role: "switch",
        class: "hk-choice-switch",
        onchange: () => send("chosen", { at: input.checked ? 1 : 0 }),
      });
      replace(ctx.el, h("div", { class: "hk-choice-line" }, input, title));
      return;
    }
    input = h(
      "select",
      {
        id,
        class: "hk-field",
        // Letters choose here; the notebook has other meanings for them.
        "data-lm-suppress-shortcuts": "true",
        onchange: () => send("chosen", { at: input.selectedIndex }),
      },
      labels.map((text) => h("option", null, text)),
    );
    replace(ctx.el, h("div", { class: "hk-field-box" }, title, input));
  }

  ctx.on("choice", (state) => {
    if (input === null) draw(state);
    if (state.is_switch) input.checked = state.at === 1;
    else input.selectedIndex = state.at;
    input.disabled = !state.enabled;
  });
});
