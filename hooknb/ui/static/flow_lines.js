// What the picture of the flow is drawn with: lines, and words for its boxes.

const LINE_GAP = 14;
const CORNER = 9;
const WORKED_MILLISECONDS = 3000;
const TYPES = ".hk-side-types button";
const FIELDS = ".hk-form .hk-field";
const GATE = "where it does not hold, the execution fails";

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// A line down from one point to another, by a level on which it goes sideways, round the corners.
function bent(x1, y1, x2, y2, level) {
  if (Math.abs(x2 - x1) < 1) return `M ${x1} ${y1} V ${y2}`;
  const way = Math.sign(x2 - x1);
  const round = Math.min(CORNER, Math.abs(x2 - x1) / 2, Math.abs(level - y1), Math.abs(y2 - level));
  return [
    `M ${x1} ${y1} V ${level - round}`,
    `Q ${x1} ${level} ${x1 + way * round} ${level}`,
    `H ${x2 - way * round}`,
    `Q ${x2} ${level} ${x2} ${level + round}`,
    `V ${y2}`,
  ].join(" ");
}

// A line of something longer, or nothing.
function oneLine(text, names) {
  if (!text) return null;
  return h("span", { class: names, dir: "auto", title: visible(text) }, visible(text));
}

const sameList = (one, other) => one.parent === other.parent && one.branch === other.branch;
