// @ts-check
// The building blocks of all parts of the panel. The module of a part ends with
// `export default part((ctx) => { … })`; hooknb.ui.parts.bundle links the modules into one.

/**
 * A message between the kernel and a view; the other fields depend on its kind.
 * @typedef {{kind: string, to?: string} & Record<string, any>} Message
 */

/**
 * The model of a widget, as the front end passes it to a view (anywidget.dev).
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: any) => void} set
 * @property {() => void} save_changes
 * @property {(message: Message) => void} send
 * @property {(event: string, handler: (message: any) => void) => void} on
 * @property {(event: string, handler: (message: any) => void) => void} off
 */

/**
 * The context of a view of a part.
 * @typedef {object} Context
 * @property {HTMLElement} el the element to fill
 * @property {Model} model
 * @property {string} view the id of the view, by which the kernel tells views apart
 * @property {(kind: string, content: object) => boolean} send
 *   Returns whether the message was sent: it is not if the kernel is gone.
 * @property {(kind: string, handler: (message: any) => void) => unknown} on
 * @property {(kind: string, content: object) => Promise<Message>} ask
 *   Sends a request and resolves to the kernel's response, a message of the same kind.
 * @property {(end: () => void) => unknown} cleanup registers a callback for the view's end
 */

/** @typedef {string | Node | null | undefined} Child */

const PING_SECONDS = 20;
const SAID_MILLISECONDS = 8000;

/**
 * Creates an element. No other code creates HTML, so data of a hook is only ever text.
 * @param {string} tag
 * @param {Record<string, any> | null} [attributes] a function is a listener: `onclick`
 * @param {...(Child | Child[] | Child[][])} children
 * @returns {any} the element; `any`, because some get extra fields
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else setAttribute(element, name, value);
  }
  element.append(...given(children));
  return element;
}

/**
 * Sets an attribute, or removes it if the value is false, null or undefined.
 * @param {Element} element
 * @param {string} name
 * @param {any} value
 */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : value);
}

/**
 * Creates a button.
 * @param {Child | Child[]} label
 * @param {(event: any) => void} onclick
 * @param {Record<string, any>} [attributes]
 */
export function button(label, onclick, attributes) {
  return h("button", { type: "button", class: "hk-button", onclick, ...attributes }, ...[label].flat());
}

/** @type {(children: any[]) => (string | Node)[]} */
const given = (children) => children.flat().filter((child) => child !== null && child !== undefined);

// Invisible characters, and those that change the direction of the text around them, are escaped:
// the same as in hooknb.cli.terminal.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/gu;

/**
 * @param {unknown} text
 * @returns {string}
 */
export function visible(text) {
  return String(text).replace(UNSEEN, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    const digits = code.toString(16);
    return code > 0xffff ? `\\U${digits.padStart(8, "0")}` : `\\u${digits.padStart(4, "0")}`;
  });
}

/**
 * Text of a hook as an element that isolates its direction from the text around it.
 * @param {unknown} text
 * @param {Record<string, any>} [attributes]
 */
export function bdi(text, attributes) {
  return h("bdi", attributes, visible(text));
}

/**
 * Text of several lines with invisible characters escaped.
 * @param {unknown} text
 */
export function lines(text) {
  return String(text).split("\n").map(visible).join("\n");
}

/**
 * @param {Element} element
 * @param {...(Child | Child[] | Child[][])} children
 */
export function replace(element, ...children) {
  element.replaceChildren(...given(children));
}

/** @param {number} number */
export function grouped(number) {
  return number.toLocaleString("en");
}

/** @param {number | null | undefined} value */
export function milliseconds(value) {
  if (value === null || value === undefined) return "";
  // Most nodes take less than a tenth.
  if (value < 0.1) return value > 0 && value < 0.005 ? "<0.01 ms" : `${value.toFixed(2)} ms`;
  if (value >= 60000) return `${(value / 60000).toFixed(1)} min`;
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 10000 ? 1 : 2)} s`;
  return `${value.toFixed(value >= 100 ? 0 : 1)} ms`;
}

/** @param {number} value */
export function bytes(value) {
  if (value >= 1048576) return `${(value / 1048576).toFixed(1)} MiB`;
  if (value >= 10240) return `${(value / 1024).toFixed(1)} KiB`;
  return value === 1 ? "1 byte" : `${grouped(value)} bytes`;
}

// A status line: the result of a click disappears after a while, an error stays.
export function sayingLine() {
  const element = h("span", { class: "hk-said hk-soft", role: "status" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return {
    element,
    /** @param {string} text */
    say(text, isError = false) {
      element.className = `hk-said ${isError ? "hk-error" : "hk-soft"}`;
      element.textContent = visible(text);
      clearTimeout(timer);
      if (!isError) timer = setTimeout(() => (element.textContent = ""), SAID_MILLISECONDS);
    },
    end: () => clearTimeout(timer),
  };
}

/** @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that are not from localhost or HTTPS have no clipboard; selections can be copied.
    const field = h("textarea", { style: "position: fixed; opacity: 0", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

/**
 * A button that copies the text that `give` returns, and confirms it.
 * @param {string} label
 * @param {() => Promise<string | null | undefined>} give
 * @param {Record<string, any>} attributes
 */
export function copyButton(label, give, attributes) {
  const copy = async () => {
    const text = await give();
    if (text === null || text === undefined) return;
    await copyText(text);
    made.textContent = "Copied";
    made.setAttribute("aria-live", "polite");
    setTimeout(() => (made.textContent = label), 1200);
  };
  const made = button(label, copy, attributes);
  return made;
}

/**
 * A row of tabs; arrow keys move along it (WAI-ARIA, tabs).
 * @param {(Child | Child[])[]} labels
 * @param {number} chosen
 * @param {(index: number) => void} choose
 * @param {string} name
 * @param {HTMLElement} panel the tab panel that they share; it has an id
 */
export function tabList(labels, chosen, choose, name, panel) {
  const buttons = labels.map((label, index) =>
    button(label, () => choose(index), {
      role: "tab",
      class: "hk-tab",
      id: `${panel.id}-${index}`,
      "aria-controls": panel.id,
      "aria-selected": String(index === chosen),
      tabindex: index === chosen ? "0" : "-1",
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const end = { Home: 0, End: labels.length - 1 }[event.key];
        if (step === undefined && end === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        const next = end ?? (index + step + labels.length) % labels.length;
        choose(next);
        // Choosing may have redrawn the row.
        if (list.isConnected) buttons[next].focus();
      },
    }),
  );
  const list = h("div", { role: "tablist", class: "hk-tabs", "aria-label": name }, buttons);
  panel.setAttribute("aria-labelledby", buttons[chosen].id);
  return list;
}

/**
 * Returns a widget.
 * @param {(ctx: Context) => void} draw fills `ctx.el` and registers handlers of messages
 */
export function part(draw) {
  return {
    /** @param {{model: Model, el: HTMLElement}} given */
    render({ model, el }) {
      const view = crypto.getRandomValues(new Uint32Array(2)).join("-");
      /** @type {Map<string, (message: Message) => void>} */
      const handlers = new Map();
      /** @type {Map<string, (message: Message) => void>} */
      const waiting = new Map();
      /** @type {(() => void)[]} */
      const ends = [];
      let alive = true;
      /** @type {Context} */
      const ctx = {
        el,
        model,
        view,
        send(kind, content) {
          if (!alive) return false;
          try {
            model.send({ ...content, kind, view });
          } catch {
            return false;
          }
          return true;
        },
        on: (kind, handler) => handlers.set(kind, handler),
        ask(kind, content) {
          return new Promise((resolve) => {
            waiting.set(kind, resolve);
            ctx.send(kind, content);
          });
        },
        cleanup: (end) => ends.push(end),
      };
      /** @param {any} message */
      const hear = (message) => {
        if (message === null || typeof message !== "object") return;
        if (message.to !== undefined && message.to !== view) return;
        waiting.get(message.kind)?.(message);
        waiting.delete(message.kind);
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
