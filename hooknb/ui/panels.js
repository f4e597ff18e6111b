// @ts-check
// The list of all hooks; the chosen one is shown below it.

import { bdi, button, h, part, replace, visible } from "./parts/common.js";

export default part((ctx) => {
  const list = h("div", { class: "hk-hooks", role: "group", "aria-label": "Hooks" });
  const note = h("div", { class: "hk-error hk-hooks-note", role: "status" });
  const size = h("div", { class: "hk-soft hk-hooks-size" });
  replace(ctx.el, list, size, note);
  ctx.on("hooks", (message) => {
    note.textContent = "";
    size.textContent = visible([message.size, message.remedy].filter(Boolean).join("; "));
    const focused = list.contains(document.activeElement) ? message.chosen : null;
    replace(
      list,
      message.hooks.map((hook) => {
        const dot = h("span", { class: `hk-dot hk-dot-${hook.tone}`, "aria-hidden": "true" });
        const label = [dot, bdi(hook.name), h("span", { class: "hk-soft" }, hook.said)];
        return button(label, () => ctx.send("choose", { name: hook.name }), {
          class: "hk-hook",
          "aria-pressed": String(hook.name === message.chosen),
          title: hook.stored ? "Serve it as stored: hooknb.serve(name)" : null,
        });
      }),
      message.hooks.length === 0
        ? h("span", { class: "hk-soft" }, "No hook is served yet. Enter a name to create one.")
        : null,
    );
    if (focused !== null) list.querySelector('[aria-pressed="true"]')?.focus();
  });
  ctx.on("error", (message) => (note.textContent = visible(message.message)));
});
