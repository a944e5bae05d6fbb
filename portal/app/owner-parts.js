// Parts that the owner's views share: photos that load when they come into view, chips, questions, numbers in words.

import { explain, photo } from "./api.js";
import { h, openSheet } from "./dom.js";
import { number, pick, t } from "./i18n.js";
import { emojiOf } from "./pad.js";

export const COUNTED_AGAIN = 1_000; // milliseconds until a count that is under way is asked for again
const MOST_KEPT = 400;
const kept = new Map(); // what is shown to its address here: a token changes with every answer of the API, the photo never

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    watcher.unobserve(entry.target);
    entry.target.dispatchEvent(new CustomEvent("seen"));
  }
}, { rootMargin: "300px" });

/**
 * Show a display copy, fetched when it comes near the screen.
 *
 * @param {string} name what is shown, as job and item: the same name is the same photo
 * @param {string|null} path from the API; null shows the text instead
 */
export function picture(name, path, { alt = "", text = null, eager = false } = {}) {
  if (!path) return h("span.picture.text", {}, text ?? "");
  const frame = h("span.picture");
  const show = async () => {
    try {
      frame.replaceChildren(h("img", { src: await addressOf(name, path), alt, decoding: "async" }));
    } catch {
      frame.classList.add("failed");
      frame.replaceChildren(h("span", { role: "img", "aria-label": alt || t("owner.photo.failed") }, "🖼"));
    }
  };
  if (eager || kept.has(name)) show();
  else {
    frame.addEventListener("seen", show, { once: true });
    watcher.observe(frame);
  }
  return frame;
}

/** Say how far a count is that takes several requests; `error` is what the last one got. */
export function howFar(error, heading = "h2") {
  return h("div.card.stack", { role: "status" }, h(heading, {}, t("owner.counting")), h("p", {}, explain(error)),
    h("progress.meter", { max: 100, value: Math.round(100 * error.share), "aria-label": t("owner.counting") }));
}

/** Fetch a photo ahead of its turn. */
export function prefetch(name, path) {
  if (path) addressOf(name, path).catch(() => {}); // it is asked for again when it is shown
}

function addressOf(name, path) {
  if (!kept.has(name)) {
    if (kept.size >= MOST_KEPT) forgetOldest();
    kept.set(name, photo(path).then((blob) => URL.createObjectURL(blob)).catch((error) => {
      kept.delete(name);
      throw error;
    }));
  }
  return kept.get(name);
}

function forgetOldest() {
  const [name, address] = kept.entries().next().value;
  kept.delete(name);
  address.then((url) => URL.revokeObjectURL(url)).catch(() => {});
}

/** A category's emoji and name. */
export function named(job, key) {
  const category = job.categories.find((one) => one.key === key);
  return category ? `${emojiOf(category)} ${pick(category)}`.trim() : key ?? t("owner.none");
}

export function stateChip(state) {
  const tone = { open: ".good", paused: ".warn", stopped: "", complete: "" }[state] ?? "";
  return h(`span.chip${tone}`, {}, t(`owner.state.${state}`));
}

/** Why an item waits: "report: broken" has words of its own. */
export function reasonText(reason) {
  if (!reason) return "";
  const [kind, what] = reason.split(": ");
  if (kind === "report") return t("owner.reason.report", { problem: t(`owner.problem.${what}`) });
  if (kind === "rejected") return t("owner.reason.rejected", { reason: what ?? "" });
  return t(`owner.reason.${kind}`);
}

export function percent(share, digits = 0) {
  return share === null || share === undefined ? "–" : `${number(100 * share, digits)}%`;
}

export function duration(seconds) {
  if (seconds === null) return t("owner.time.unknown");
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return t("owner.time.soon");
  if (minutes < 60) return t("owner.time.minutes", { n: minutes });
  const hours = Math.round(minutes / 60);
  if (hours < 48) return t("owner.time.hours", { n: hours });
  return t("owner.time.days", { n: Math.round(hours / 24) });
}

/** Ask before something that others notice; resolves with whether the person said yes. */
export async function confirmed(title, text, yes, { danger = false } = {}) {
  const go = h(`button.button.${danger ? "danger" : "primary"}`, { type: "button" }, yes);
  const no = h("button.button", { type: "button" }, t("cancel"));
  const { sheet, closed } = openSheet(title, t("close"), h("p", {}, text), h("div.row.sheet-foot", {}, no, go));
  go.addEventListener("click", () => sheet.close("yes"));
  no.addEventListener("click", () => sheet.close(""));
  (danger ? no : go).focus();
  return (await closed) === "yes";
}

/**
 * Ask for some values.
 *
 * @param {Array<{name: string, label: string, value?: string, required?: boolean, pattern?: string, hint?: string, kind?: string, maxlength?: number}>} fields
 * @param {string} [problem] what was wrong with the values before
 * @returns {Promise<object|null>} the values by name; null when the person changed their mind
 */
export async function asked(title, fields, yes, note = "", problem = "") {
  const inputs = fields.map((field) => [field, field.kind === "checkbox"
    ? h("input", { type: "checkbox", name: field.name, checked: Boolean(field.value) })
    : h("input", {
      name: field.name, value: field.value ?? "", required: field.required, pattern: field.pattern, maxlength: field.maxlength ?? 500,
      autocomplete: "off", spellcheck: "false", lang: field.lang ?? null, title: field.hint ?? null,
    })]);
  const form = h("form.stack", { method: "dialog" },
    problem ? h("p.note.bad", { role: "alert" }, problem) : "",
    inputs.map(([field, input]) => (field.kind === "checkbox"
      ? h("label.check", {}, input, h("span", {}, field.label))
      : h("label.field", {}, h("span", {}, field.label), input, field.hint ? h("span.soft.small", {}, field.hint) : ""))),
    note ? h("p.soft.small", {}, note) : "",
    h("div.row.sheet-foot", {}, h("button.button", { type: "button", on: { click: () => shown.sheet.close("") } }, t("cancel")), h("button.button.primary", { type: "submit", value: "yes" }, yes)));
  const shown = openSheet(title, t("close"), form);
  inputs[0]?.[1].focus();
  if ((await shown.closed) !== "yes") return null;
  return Object.fromEntries(inputs.map(([field, input]) => [field.name, field.kind === "checkbox" ? input.checked : input.value.trim()]));
}

/** A button that can't be pressed twice while its work is under way. */
export function button(label, run, { kind = "", title = null, key = null } = {}) {
  const made = h(`button.button${kind}`, { type: "button", title, "aria-keyshortcuts": key }, label, key ? h("kbd", { "aria-hidden": "true" }, key) : "");
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await run();
    } finally {
      made.disabled = false;
    }
  });
  return made;
}
