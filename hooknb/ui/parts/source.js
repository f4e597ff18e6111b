// @ts-check
// The source text of a function, read-only.

import { h, lines, part, replace, visible } from "./common.js";

export default part((ctx) => {
  const text = h("pre", { class: "hk-mono hk-source", tabindex: "0", dir: "ltr" });
  replace(ctx.el, text);
  ctx.on("source", ({ source, label }) => {
    text.textContent = lines(source);
    text.setAttribute("aria-label", visible(label));
  });
});
