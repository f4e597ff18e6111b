// @ts-check
// The Python code that creates the hook, and its JSON, to copy.

import { copyButton, h, lines, part, replace, visible } from "./parts/common.js";

function codeBlock(title, note, text) {
  return h(
    "section",
    { class: "hk-card hk-code" },
    h(
      "div",
      { class: "hk-code-head" },
      h("strong", {}, title),
      h("span", { class: "hk-soft" }, note),
      copyButton("Copy", async () => text(), {
        class: "hk-button hk-push",
        "aria-label": `Copy the ${title}`,
        disabled: true, // until there is something to copy
      }),
    ),
    h("pre", { class: "hk-mono", tabindex: "0", "aria-label": title, dir: "ltr" }),
  );
}

export default part((ctx) => {
  let code = { python: "", json: "", note: "" };
  const python = codeBlock("Python", "run in a cell, it creates this hook", () => code.python);
  const json = codeBlock("JSON", "for hooknb.Workflow.from_json(…)", () => code.json);
  const note = h("div", { class: "hk-error", role: "status" });
  replace(ctx.el, h("div", { class: "hk-python" }, note, python, json));
  ctx.on("code", (message) => {
    code = message;
    note.textContent = visible(message.note);
    for (const [block, text] of [[python, message.python], [json, message.json]]) {
      block.querySelector("pre").textContent = lines(text);
      block.querySelector("button").disabled = text === "";
    }
  });
});
