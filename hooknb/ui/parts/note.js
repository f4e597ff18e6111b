// @ts-check
// A status line.

import { bdi, h, part, replace } from "./common.js";

export default part((ctx) => {
  const line = h("div", { class: "hk-note", role: "status", "aria-live": "polite" });
  replace(ctx.el, line);
  ctx.on("note", ({ text, tone: colour }) => {
    line.className = colour === "bad" ? "hk-note hk-error" : "hk-note hk-soft";
    replace(line, bdi(text));
  });
});
