// @ts-check
// An execution: its status, and its jobs as bars on a time axis.

import { bdi, grouped, h, lines, milliseconds, visible } from "../parts/common.js";

function jobPart(text, label, kind) {
  const attributes = { dir: "auto", tabindex: "0", "aria-label": label };
  return h(
    "div",
    { class: "hk-job-part" },
    h("span", { class: "hk-soft" }, label),
    h("pre", { class: `hk-mono ${kind ?? ""}`, ...attributes }, lines(text)),
  );
}

const typeName = (type) => visible(type.slice(0, 1).toUpperCase() + type.slice(1));

function jobRow(job, at, whole, opened) {
  const runs = job.duration_ms === null || job.duration_ms === undefined;
  const start = Math.max(0, job.start_ms ?? 0);
  const length = runs ? Math.max(0, whole - start) : job.duration_ms;
  const share = (value) => (whole > 0 ? Math.min(100, (100 * value) / whole) : 0);
  const kind = runs ? "wait" : job.tone;
  const bar = h("span", { class: `hk-job-bar hk-job-${kind}` });
  bar.style.left = `${Math.min(share(start), 99)}%`;
  bar.style.width = `${Math.min(share(length), 100 - Math.min(share(start), 99))}%`;
  const took = runs ? "running" : milliseconds(job.duration_ms);
  const key = `${at} ${job.node}`;
  const isEmpty = [job.result, job.output, job.error].every((text) => !text);
  return h(
    "details",
    {
      class: "hk-job",
      open: opened.has(key),
      ontoggle: (event) => (event.currentTarget.open ? opened.add(key) : opened.delete(key)),
    },
    h(
      "summary",
      { title: `${visible(job.node)}: ${job.status}, from ${milliseconds(start)}, ${took}` },
      h(
        "span",
        { class: "hk-job-name" },
        bdi(job.node),
        " ",
        h("span", { class: "hk-soft" }, typeName(job.type)),
        job.branch ? h("span", { class: "hk-soft" }, " → ", bdi(job.branch)) : null,
        kind === "bad" ? h("span", { class: "hk-error" }, ` ${job.status}`) : null,
      ),
      h("span", { class: "hk-job-track", "aria-hidden": "true" }, bar),
      h("span", { class: "hk-job-took hk-mono hk-soft" }, took),
    ),
    h(
      "div",
      { class: "hk-job-inside" },
      job.error ? jobPart(job.error, "error", "hk-error") : null,
      job.result ? jobPart(job.result, "result") : null,
      job.output ? jobPart(job.output, "output") : null,
      isEmpty ? h("span", { class: "hk-soft" }, "No result, output or error.") : null,
    ),
  );
}

// opened: the Set of unfolded jobs, kept by the caller while the execution runs.
export function executionView(execution, opened) {
  const notes = [
    milliseconds(execution.duration_ms),
    `revision ${execution.revision}`,
    execution.recovered ? "run again after a restart" : "",
  ].filter(Boolean);
  const noted = (content, kind) =>
    h("div", { class: `hk-execution-note ${kind ?? "hk-soft"}` }, content);
  const missing = h("span", { class: "hk-mono" }, bdi(execution.missing.join(", ")));
  const jobs = execution.jobs;
  const whole = Math.max(
    execution.duration_ms ?? 0,
    ...jobs.map((job) => (job.start_ms ?? 0) + (job.duration_ms ?? 0)),
  );
  return [
    h(
      "div",
      { class: "hk-execution-head" },
      h("strong", { class: "hk-section" }, "Execution"),
      h("span", { class: `hk-badge hk-${execution.tone}` }, execution.status),
      h("span", { class: "hk-soft" }, notes.join(" · ")),
    ),
    execution.reason ? noted(bdi(execution.reason), "hk-error") : null,
    execution.missing.length ? noted(["missing: ", missing]) : null,
    jobs.length
      ? h("div", {}, jobs.map((job, at) => jobRow(job, at, whole, opened)))
      : noted(execution.is_over ? "No node has run." : "No node has ended yet."),
    execution.more ? noted(`${grouped(execution.more)} more jobs: hook.jobs`) : null,
  ];
}
