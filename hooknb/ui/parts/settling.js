// @ts-check
// Messages of widgets may overtake each other: a subshell may handle the press of a button before
// the main thread handles the text typed earlier. A button of the forms, or of the picture beside
// them, therefore waits until the kernel has acknowledged earlier input. Messages are numbered, so
// that an overtaken one does not undo a later one.

// Global to the page: a page may have the code of several versions.
/** @type {{marks: Set<string>, buttons: Set<HTMLElement>, listens: boolean}} */
const held = (globalThis[Symbol.for("hooknb.held")] ??= {
  marks: new Set(), // sent, not acknowledged yet
  buttons: new Set(), // pressed, and waiting
  listens: false,
});

function letGo() {
  if (held.marks.size > 0) return;
  const buttons = [...held.buttons];
  held.buttons.clear();
  for (const button of buttons) {
    button.removeAttribute("aria-busy");
    if (button.isConnected) button.click();
  }
}

function listen() {
  if (held.listens) return;
  held.listens = true;
  document.addEventListener(
    "click",
    (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      /** @type {HTMLElement | null | undefined} */
      const button = target.closest?.(
        ".hk-panel .jupyter-button, .hk-panel .hk-flow button, .hk-new .jupyter-button",
      );
      if (!button || held.marks.size === 0) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      // Repeated presses count once: a second press may mean something else, as of "Really clear?".
      button.setAttribute("aria-busy", "true");
      held.buttons.add(button);
    },
    true,
  );
}

const REST_MILLISECONDS = 300;

/**
 * Calls `send` after a pause in typing, or at once by `flush`; `waits` is true until then.
 * @param {() => void} send
 */
export function resting(send) {
  let timer = null;
  return {
    get waits() {
      return timer !== null;
    },
    touch() {
      clearTimeout(timer);
      timer = setTimeout(this.flush, REST_MILLISECONDS);
    },
    flush() {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      send();
    },
    drop() {
      clearTimeout(timer);
      timer = null;
    },
  };
}

const PATIENCE_MILLISECONDS = 10000;

/**
 * Returns a `send` whose messages buttons wait for, at most PATIENCE_MILLISECONDS each.
 * @param {import("./common.js").Context} ctx
 * @returns {(kind: string, content: object) => void}
 */
export function settling(ctx) {
  listen();
  const mine = new Set();
  let count = 0;
  const settle = (mark) => {
    mine.delete(mark);
    held.marks.delete(mark);
    letGo();
  };
  ctx.on("heard", ({ number }) => settle(`${ctx.view}:${number}`));
  ctx.cleanup(() => {
    for (const mark of mine) held.marks.delete(mark);
    letGo();
  });
  return (kind, content) => {
    count += 1;
    if (!ctx.send(kind, { ...content, number: count })) return;
    const mark = `${ctx.view}:${count}`;
    mine.add(mark);
    held.marks.add(mark);
    setTimeout(settle, PATIENCE_MILLISECONDS, mark);
  };
}
