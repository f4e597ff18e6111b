// The cells of the list of deliveries, of which every text is only text.

// Where things stand in a row as it is told: hooknb.history.feed.Row.as_list.
const [ID, RECEIVED, STATUS, REFUSED, REASON, CELLS, TOOK, EXECUTION] = [1, 2, 3, 4, 5, 6, 7, 8];

function clockTime(milliseconds) {
  const time = new Date(milliseconds);
  const two = (value) => String(value).padStart(2, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

// Whether nothing about a row changes any more; null is one that is gone.
function isSettled(row) {
  return row === null || (row[STATUS] !== null && !["queued", "started"].includes(row[EXECUTION]));
}

function gridCell(content, kind, title) {
  return h("span", { role: "gridcell", class: `hk-grid-cell ${kind ?? ""}`, title }, content);
}

function answerBadge(status, execution) {
  const waits = status === null || status === undefined;
  const title = waits
    ? "the caller waits for its answer"
    : `answered ${status}${execution ? `; execution ${execution}` : ""}`;
  const attributes = { class: `hk-badge hk-${tone(status)}`, title };
  return h("span", attributes, waits ? "…" : String(status));
}

// columns: [name, title, numeric, short title].
function headCells(columns) {
  const cell = (content, kind, about) =>
    h("span", { role: "columnheader", class: `hk-grid-cell ${kind ?? ""}`, ...about }, content);
  const own = columns.map(([name, title, numeric, short]) =>
    cell(bdi(short), numeric ? "hk-right" : "", {
      title: visible(name),
      "aria-label": visible(title),
    }),
  );
  return [
    cell("#"),
    cell("received"),
    cell("answer"),
    ...(own.length ? own : [cell("")]),
    cell("took", "hk-right"),
  ];
}

function rowCells(row, columns) {
  return [
    gridCell(String(row[ID]), "hk-mono"),
    gridCell(
      clockTime(row[RECEIVED]),
      "hk-mono hk-soft",
      new Date(row[RECEIVED]).toISOString(),
    ),
    gridCell(answerBadge(row[STATUS], row[EXECUTION])),
    ...middleCells(row, columns),
    gridCell(milliseconds(row[TOOK]), "hk-right hk-mono hk-soft"),
  ];
}

// The variables; or why there is nothing good to say of them.
function middleCells(row, columns) {
  const texts = row[CELLS];
  if (row[REASON] !== null) {
    const about = columns.map(([, title], at) => `${visible(title)}: ${visible(texts[at] ?? "")}`);
    const title = [visible(row[REASON]), ...(row[REFUSED] ? [] : about)].join("\n");
    const cell = gridCell(bdi(row[REASON]), "hk-error hk-wide", title);
    cell.setAttribute("aria-colspan", String(Math.max(1, columns.length)));
    return [cell];
  }
  if (columns.length === 0) return [gridCell("")];
  return columns.map(([, , numeric], at) => {
    const text = texts[at] ?? "";
    return gridCell(bdi(text), numeric ? "hk-right hk-mono" : "", visible(text));
  });
}
