// @ts-check
// A text field: one line, several, or a password. Text is sent after a pause in typing, and
// immediately when the field loses the focus: before any button elsewhere can be pressed.

import { h, lines, part, replace, setAttribute } from "./common.js";
import { resting, settling } from "./settling.js";

export default part((ctx) => {
  const id = `hk-field-${ctx.view}`;
  let input = null;
  let error = null;
  let note = null;
  let label = null;
  const send = settling(ctx);
  const typing = resting(() => send("typed", { text: input.value }));

  function draw(state) {
    const several = state.lines > 1;
    input = h(several ? "textarea" : "input", {
      id,
      class: state.mono ? "hk-field hk-mono" : "hk-field",
      dir: "auto",
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: state.password ? "new-password" : "off",
      ...(several ? { rows: state.lines } : { type: state.password ? "password" : "text" }),
      oninput: () => typing.touch(),
      onchange: () => typing.flush(),
      onblur: () => typing.flush(),
      onkeydown: (event) => {
        if (event.key !== "Enter" || (several && !event.ctrlKey && !event.metaKey)) return;
        typing.flush();
        // As in any form with one field, Enter presses its button, which waits for the text sent.
        if (event.isComposing) return;
        /** @type {HTMLElement | null | undefined} */
        const button = ctx.el.closest(".hk-new")?.querySelector(".jupyter-button");
        button?.click();
      },
    });
    label = h("label", { for: id });
    error = h("div", { id: `${id}-error`, class: "hk-error hk-field-text", "aria-live": "polite" });
    note = h("div", { id: `${id}-note`, class: "hk-soft hk-field-text", "aria-live": "polite" });
    replace(ctx.el, h("div", { class: "hk-field-box" }, label, input, error, note));
  }

  ctx.on("field", (state) => {
    const isNew = input === null;
    if (isNew) draw(state);
    label.textContent = state.label;
    label.className = state.hidden ? "hk-hidden" : "hk-soft hk-field-label";
    const keeps = {
      around: true,
      typed: state.by === ctx.view,
      open: typing.waits || state.password,
      value: false,
    }[state.cause];
    if (isNew || !keeps) {
      typing.drop();
      if (input.value !== state.text) input.value = state.text;
    }
    input.disabled = !state.enabled;
    input.placeholder = state.placeholder;
    error.textContent = lines(state.error);
    note.textContent = lines(state.note);
    setAttribute(input, "aria-invalid", state.error ? "true" : null);
    const about = [state.error && error.id, state.note && note.id].filter(Boolean).join(" ");
    setAttribute(input, "aria-describedby", about || null);
  });

  // A view that is closed sends nothing more.
  ctx.cleanup(() => typing.drop());
});
