// Widgets do not share a queue: what a field sends may be heard by the kernel after the press of a
// button that came later, as a subshell hears one and the main thread the other. So a button of
// the forms waits until the kernel has heard what was typed and chosen before. Messages are
// numbered, so that one that was overtaken does not undo what came after it.

const held = (globalThis[Symbol.for("hooknb.held")] ??= {
  marks: new Set(), // sent, and not heard yet
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

if (!held.listens) {
  held.listens = true;
  document.addEventListener(
    "click",
    (event) => {
      const button = event.target.closest?.(".hk-panel .jupyter-button");
      if (!button || held.marks.size === 0) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      // However often it is pressed meanwhile: a second press may mean something else.
      button.setAttribute("aria-busy", "true");
      held.buttons.add(button);
    },
    true,
  );
}

// Gives a `send` whose messages buttons wait for.
function settling(ctx) {
  const mine = new Set();
  let count = 0;
  ctx.on("heard", ({ number }) => {
    mine.delete(`${ctx.view}:${number}`);
    held.marks.delete(`${ctx.view}:${number}`);
    letGo();
  });
  ctx.cleanup(() => {
    for (const mark of mine) held.marks.delete(mark);
    letGo();
  });
  return (kind, content) => {
    count += 1;
    mine.add(`${ctx.view}:${count}`);
    held.marks.add(`${ctx.view}:${count}`);
    ctx.send(kind, { ...content, number: count });
  };
}
