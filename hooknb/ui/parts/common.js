// What every part of the panel is made with. Parts are put together from files without imports:
// this one comes first, and the last one ends with `export default part((ctx) => { … })`.

const PING_SECONDS = 20;
const SAID_MILLISECONDS = 8000;

// Elements are made here and nowhere else: what comes from a hook is only ever text.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...given(children));
  return element;
}

const given = (children) => children.flat().filter((child) => child !== null && child !== undefined);

// Characters that have no shape, or that turn the order of what is around them, are written out:
// those of hooknb.cli.texts.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/gu;

function visible(text) {
  return String(text).replace(UNSEEN, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    const digits = code.toString(16);
    return code > 0xffff ? `\\U${digits.padStart(8, "0")}` : `\\u${digits.padStart(4, "0")}`;
  });
}

// Text of a hook as an element of its own, whose direction reaches nothing around it.
function bdi(text, attributes) {
  return h("bdi", attributes, visible(text));
}

// Text of several lines, as it is but for what cannot be seen.
function lines(text) {
  return String(text).split("\n").map(visible).join("\n");
}

function replace(element, ...children) {
  element.replaceChildren(...given(children));
}

function grouped(number) {
  return number.toLocaleString("en");
}

function milliseconds(value) {
  if (value === null || value === undefined) return "";
  // Most nodes take less than a tenth.
  if (value < 0.1) return value > 0 && value < 0.005 ? "<0.01 ms" : `${value.toFixed(2)} ms`;
  if (value >= 60000) return `${(value / 60000).toFixed(1)} min`;
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 10000 ? 1 : 2)} s`;
  return `${value.toFixed(value >= 100 ? 0 : 1)} ms`;
}

function bytes(value) {
  if (value >= 1048576) return `${(value / 1048576).toFixed(1)} MiB`;
  if (value >= 10240) return `${(value / 1024).toFixed(1)} KiB`;
  return value === 1 ? "1 byte" : `${grouped(value)} bytes`;
}

// The kind of an answer, as the end of a class: hk-ok, hk-warn, hk-bad.
function tone(status) {
  if (status === null || status === undefined) return "wait";
  if (status < 400) return "ok";
  return status === 422 || status === 404 || status === 409 ? "warn" : "bad";
}

const EXECUTION_TONES = { resolved: "ok", failed: "bad", error: "bad", aborted: "bad" };

// A line that says for a while what became of a click; what went wrong stays there.
function sayingLine() {
  const element = h("span", { class: "hk-said hk-soft", role: "status" });
  let timer = null;
  return {
    element,
    say(text, isError = false) {
      element.className = `hk-said ${isError ? "hk-error" : "hk-soft"}`;
      element.textContent = visible(text);
      clearTimeout(timer);
      if (!isError) timer = setTimeout(() => (element.textContent = ""), SAID_MILLISECONDS);
    },
    end: () => clearTimeout(timer),
  };
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that are not from localhost or https have no clipboard; selections can still be copied.
    const field = h("textarea", { style: "position: fixed; opacity: 0", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

// A button that copies what `give` gives (text, or a promise of it) and says that it did.
function copyButton(label, give, attributes) {
  const button = h(
    "button",
    {
      type: "button",
      class: "hk-button",
      ...attributes,
      onclick: async () => {
        const text = await give();
        if (text === null || text === undefined) return;
        await copyText(text);
        button.textContent = "Copied";
        button.setAttribute("aria-live", "polite");
        setTimeout(() => (button.textContent = label), 1200);
      },
    },
    label,
  );
  return button;
}

// One of several choices in a row: arrow keys go along it (WAI-ARIA, tabs). They share one `panel`,
// an element with an id.
function tabList(labels, chosen, choose, name, panel) {
  const buttons = labels.map((label, index) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        class: "hk-tab",
        id: `${panel.id}-${index}`,
        "aria-controls": panel.id,
        "aria-selected": String(index === chosen),
        tabindex: index === chosen ? "0" : "-1",
        onclick: () => choose(index),
        onkeydown: (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          const end = { Home: 0, End: labels.length - 1 }[event.key];
          if (step === undefined && end === undefined) return;
          event.preventDefault();
          event.stopPropagation();
          const next = end ?? (index + step + labels.length) % labels.length;
          choose(next);
          // Choosing may have drawn the row anew.
          if (list.isConnected) buttons[next].focus();
        },
      },
      ...[label].flat(),
    ),
  );
  const list = h("div", { role: "tablist", class: "hk-tabs", "aria-label": name }, buttons);
  panel.setAttribute("aria-labelledby", buttons[chosen].id);
  return list;
}

// Makes a widget of `draw(ctx)`, which fills ctx.el and says what to do with messages.
function part(draw) {
  return {
    render({ model, el }) {
      const view = crypto.getRandomValues(new Uint32Array(2)).join("-");
      const handlers = new Map();
      const ends = [];
      let alive = true;
      const ctx = {
        el,
        model,
        view,
        // Tells whether it was sent: a model whose kernel is gone has nobody to send to.
        send(kind, content) {
          if (!alive) return false;
          try {
            model.send({ ...content, kind, view });
          } catch {
            return false;
          }
          return true;
        },
        on(kind, handler) {
          handlers.set(kind, handler);
        },
        // Asks the kernel for something and gives what it answers under the same kind.
        ask(kind, content) {
          return new Promise((resolve) => {
            waiting.set(kind, resolve);
            ctx.send(kind, content);
          });
        },
        cleanup(end) {
          ends.push(end);
        },
      };
      const waiting = new Map();
      const hear = (message) => {
        if (message === null || typeof message !== "object") return;
        if (message.to !== undefined && message.to !== view) return;
        const resolve = waiting.get(message.kind);
        if (resolve) {
          waiting.delete(message.kind);
          resolve(message);
        }
        handlers.get(message.kind)?.(message);
      };
      model.on("msg:custom", hear);
      el.classList.add("hk");
      draw(ctx);

      let shown = true;
      const tell = () => {
        const seen = shown && document.visibilityState === "visible";
        ctx.send("seen", { visible: seen });
      };
      const watcher = new IntersectionObserver((entries) => {
        shown = entries[entries.length - 1].isIntersecting;
        tell();
      });
      watcher.observe(el);
      document.addEventListener("visibilitychange", tell);
      const timer = setInterval(tell, PING_SECONDS * 1000);
      ctx.send("open", { visible: true });
      return () => {
        ctx.send("close", {});
        alive = false;
        watcher.disconnect();
        clearInterval(timer);
        document.removeEventListener("visibilitychange", tell);
        model.off("msg:custom", hear);
        for (const end of ends) end();
      };
    },
  };
}
