// @ts-check
// The head of the panel: the hook's state, its URL, its switch, and the tabs.

import {
  bdi, button, copyButton, grouped, h, milliseconds, part, replace, sayingLine,
} from "./parts/common.js";

export default part((ctx) => {
  const { el, model } = ctx;
  let state = null;

  const dot = h("span", { class: "hk-dot", "aria-hidden": "true" });
  const name = h("span", { class: "hk-name" });
  const badges = h("span", { class: "hk-badges" });
  const counts = h("span", { class: "hk-soft hk-counts" });
  const stateWord = h("span", { class: "hk-soft" });
  const isOn = () => turn.getAttribute("aria-checked") === "true";
  const turn = button([], () => ctx.send("switch", { on: !isOn() }), {
    role: "switch",
    class: "hk-switch",
    "aria-checked": "false",
    "aria-label": "enabled",
  });
  const url = h("div", { class: "hk-field hk-mono hk-url", role: "group", "aria-label": "URL" });
  const { element: note, say, end } = sayingLine();
  ctx.cleanup(end);
  const copyUrl = copyButton(
    "Copy",
    async () => (state?.secret ? (await ctx.ask("url", {})).text : state?.url),
    { title: "Copy the URL, with its credentials where it has any: hook.url_with_credentials" },
  );
  const copyCurl = copyButton("Copy as curl", async () => (await ctx.ask("curl", {})).text, {
    title: "Copy a command that sends a test: hook.curl()",
  });
  const sendTest = () => {
    test.disabled = true;
    say("sending …");
    ctx.send("test", {});
  };
  const test = button("Send a test", sendTest, {
    class: "hk-button hk-primary",
    title: "Send a request made from the trigger's samples: hook.send_sample()",
  });

  const count = h("span", { class: "hk-badge hk-count" });
  const open = (index) => {
    model.set("tab", index);
    model.save_changes();
  };
  // Not tabs to a screen reader: their content is in other widgets, without the role tabpanel.
  const buttons = model.get("tabs").map((label, index) =>
    button(index === 0 ? [label, " ", count] : label, () => open(index), { class: "hk-tab" }),
  );
  const tabs = h("div", { role: "group", class: "hk-tabs", "aria-label": "Parts of the panel" }, buttons);
  const follow = () =>
    buttons.forEach((button, at) =>
      button.setAttribute("aria-current", String(at === model.get("tab"))),
    );
  follow();
  model.on("change:tab", follow);
  ctx.cleanup(() => model.off("change:tab", follow));

  const waiting = h("div", { class: "hk-soft", role: "status" });
  const timer = setTimeout(() => {
    if (state === null) {
      waiting.textContent =
        "No response from the kernel yet. If it was restarted, run the cell again.";
    }
  }, 3000);
  ctx.cleanup(() => clearTimeout(timer));

  replace(
    el,
    h(
      "div",
      { class: "hk-head" },
      h("div", { class: "hk-line1" }, dot, name, badges, counts,
        h("span", { class: "hk-push hk-onoff" }, stateWord, turn)),
      h("div", { class: "hk-line2" }, url, copyUrl, copyCurl, test),
      h("div", { class: "hk-line3" }, note, waiting),
      tabs,
    ),
  );

  ctx.on("state", (message) => {
    state = message;
    waiting.textContent = "";
    dot.className = `hk-dot hk-dot-${message.tone}`;
    replace(name, bdi(message.name));
    replace(
      badges,
      h("span", { class: "hk-badge" }, message.sync ? "sync" : "async"),
      h("span", { class: "hk-badge" }, `revision ${message.revision}`),
    );
    const said = [`${grouped(message.total)} ${message.total === 1 ? "delivery" : "deliveries"}`];
    if (message.refused) said.push(`${grouped(message.refused)} refused`);
    if (message.median !== null) said.push(`${milliseconds(message.median)} median`);
    counts.textContent = said.join(" · ");
    count.textContent = grouped(message.total);
    stateWord.textContent = message.state;
    turn.setAttribute("aria-checked", String(message.state === "enabled"));
    turn.disabled = message.state === "closed";
    test.disabled = message.state === "closed";
    replace(
      url,
      h("span", { class: "hk-soft" }, `${message.methods} `),
      bdi(message.url, { title: message.url }),
    );
  });
  ctx.on("tested", (message) => {
    test.disabled = false;
    const kept = message.delivery === null ? "" : `, delivery #${message.delivery}`;
    const empty = message.empty ? "; no samples yet: sent {}" : "";
    say(`response ${message.status}${kept}${empty}`);
  });
  ctx.on("error", (message) => {
    test.disabled = state?.state === "closed";
    say(message.message, true);
  });
});
