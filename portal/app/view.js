// What labeling looks like: bar, stage, context, pad, actions. It draws what it is told and reports taps.

import { explain } from "./api.js";
import { glyph, h } from "./dom.js";
import { number, pick, t } from "./i18n.js";
import { emojiOf, Pad } from "./pad.js";
import { Stage } from "./stage.js";

const MARKS = {
  "end.complete": "🎉", "end.offline": "🚇", "end.paused": "☕️", "end.stopped": "🍽️", "end.rest": "🍵", "end.blocked": "📖", "end.elsewhere": "🪟",
  "end.sign_in": "🔑", pause: "☕️",
};
const KEYS = { undo: "z", skip: "s", hard: "h", report: "r" };

export class WorkView {
  #announce;
  #sync = "";

  /** `does` offers undo, skip, hard, report, rules, pause, menu, pick(category, event), swipe, preview, allows, zoomed, announce. */
  constructor(does) {
    this.#announce = does.announce;
    this.stage = new Stage({ onSwipe: does.swipe, onPreview: does.preview, onZoom: does.zoomed, allows: does.allows });
    this.pad = new Pad(does.pick);
    this.actions = Object.fromEntries(Object.entries(KEYS).map(([name, key]) => [name, action(name, key, does[name])]));
    this.question = h("span.question");
    this.rules = h("button.rules", { type: "button", "aria-keyshortcuts": "?", on: { click: does.rules } }, this.question, glyph("rules"));
    this.pauseButton = h("button.button.plain.icon", { type: "button", "aria-keyshortcuts": "p", on: { click: does.pause } });
    this.menuButton = h("button.button.plain.icon", { type: "button", on: { click: does.menu } }, glyph("menu"));
    this.count = h("span.count.number");
    this.sync = h("span.sync");
    this.meter = h("progress.meter", { max: 1, value: 0 });
    this.context = h("dl.context");
    this.together = h("p.together.chip", { hidden: true });
    this.prompt = h("div.prompt", { hidden: true });
    this.stage.element.append(this.together);
    this.actionRow = h("div.actions", { role: "group" }, Object.values(this.actions));
    this.element = h(
      "div.work.blank.idle", // until the job is known: an empty pad that fills would push things about
      {},
      h("header.bar", {}, this.pauseButton, h("h1", {}, this.rules), h("div.tally", {}, this.count, this.sync), this.menuButton, this.meter),
      h("main.main", {}, this.stage.element, h("div.side", {}, this.context, this.prompt, this.pad.element, this.actionRow)),
    );
  }

  /** Put the job's words everywhere, in the language of now. */
  label(job, paused) {
    this.element.classList.remove("blank");
    document.title = `${pick(job, "question")} · ${t("app.name")}`;
    this.question.textContent = pick(job, "question");
    this.rules.setAttribute("aria-label", `${pick(job, "question")} ${t("work.rules")}`);
    this.menuButton.setAttribute("aria-label", t("menu"));
    for (const [name, button] of Object.entries(this.actions)) button.querySelector(".label").textContent = t(`work.${name}`);
    this.actionRow.setAttribute("aria-label", t("work.actions"));
    this.context.classList.toggle("none", !job.context_keys?.length);
    this.pad.show(job.categories, t("work.categories"));
    this.pausing(paused);
  }

  pausing(paused) {
    const text = t(paused ? "pause.resume" : "work.pause");
    this.pauseButton.replaceChildren(glyph(paused ? "play" : "pause"));
    this.pauseButton.setAttribute("aria-label", text);
    this.pauseButton.title = text;
  }

  /** Whether an answer can be given now. */
  able(yes) {
    this.pad.element.inert = !yes;
    for (const name of ["skip", "hard", "report"]) this.actions[name].disabled = !yes;
    this.element.classList.toggle("idle", !yes);
  }

  /** Show an item: its content (an image or text), its context, how many are alike, and an earlier answer. */
  item(task, content, keys, direction) {
    this.able(true);
    this.stage.show(content, direction);
    this.pad.mark("was", task.answer?.category ?? null);
    this.about(task.task.context ?? {}, keys);
    const { together } = task.task;
    this.together.hidden = !(together > 1);
    if (together > 1) {
      this.together.replaceChildren(glyph("photos"), t("work.together", { n: together }));
      this.together.title = t("work.together.long", { n: together });
    }
  }

  about(context, keys) {
    const known = keys.filter((key) => said(context[key]));
    this.context.replaceChildren(...known.map((key) => h("div", {}, h("dt", {}, contextName(key)), h("dd", {}, plain(context[key])))));
  }

  /** Something instead of an item: no answer can be given. */
  instead(content) {
    this.able(false);
    this.together.hidden = true;
    this.pad.mark("was", null);
    this.about({}, []);
    this.stage.show(content);
  }

  loading() {
    this.instead(h("div.panel.waiting", { role: "status" }, h("p.soft", {}, t("work.loading"))));
  }

  /** Say on the stage what is up; `action` is {label, run, quiet}, `more` goes between text and button. */
  panel(key, action, more) {
    const heading = h("h2", { tabindex: "-1" }, t(key));
    const button = action && h(`button.button${action.quiet ? "" : ".primary"}`, { type: "button", on: { click: action.run } }, action.label ?? t("end.again"));
    const lost = document.activeElement === document.body || this.pad.element.contains(document.activeElement);
    this.instead(h("div.panel", {}, h("p.panel-mark", { "aria-hidden": "true" }, MARKS[key]), heading, h("p.soft", {}, t(`${key}.text`)), more, button));
    this.#announce(`${t(key)} ${t(`${key}.text`)}`);
    if (lost) heading.focus({ focusVisible: false });
  }

  trouble(error, retry, leave) {
    this.instead(h("div.panel", { role: "alert" },
      h("p.panel-mark", { "aria-hidden": "true" }, "🫖"),
      h("h2", {}, t("error.title")),
      h("p", {}, error.name === "StorageError" ? t("error.storage") : explain(error)),
      h("button.button.primary", { type: "button", on: { click: retry } }, t("error.retry")),
      h("button.button.plain", { type: "button", on: { click: leave } }, t("settings.jobs"))));
  }

  /** The figures of a pause. */
  figures({ count, pace, mine, open }) {
    const shown = [["pause.count", number(count)], ["pause.pace", pace ? number(pace, 1) : "–"], ["pause.mine", number(mine ?? 0)], ["pause.open", open === null ? "–" : number(open)]];
    return h("dl.figures", {}, shown.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd.number", {}, value))));
  }

  tally(count, open, total) {
    if (total) {
      this.meter.max = total;
      this.meter.value = total - open;
      this.meter.setAttribute("aria-label", t("work.progress", { done: total - open, total }));
    }
    this.count.textContent = number(count);
    this.count.title = t("work.count", { n: count });
  }

  /** Say whether answers wait, and whether there is a network. */
  network(online, waiting) {
    const [name, text] = !online ? ["offline", t("sync.offline")] : waiting ? ["waiting", t("sync.waiting", { n: waiting })] : ["sent", t("sync.sent")];
    if (this.sync.dataset.waiting === String(waiting) && this.sync.title === text) return;
    this.sync.dataset.waiting = waiting;
    this.sync.title = text;
    this.sync.className = `sync ${name}`;
    this.sync.replaceChildren(glyph(name), waiting ? h("span.number", { "aria-hidden": "true" }, number(waiting)) : "", h("span.visually-hidden", {}, text));
    const news = name === "offline" ? this.#sync !== "offline" : name === "sent" && this.#sync === "offline";
    if (news) this.#announce(text);
    if (name !== "waiting") this.#sync = name;
  }

  /** Show what a swipe would do if the finger left now. */
  preview(target, direction, far) {
    this.stage.preview.hidden = !target;
    this.pad.mark("aim", target?.key ?? null);
    if (!target) return;
    this.stage.preview.className = `preview at-${direction}${far ? " far" : ""}`;
    this.stage.preview.replaceChildren(...(target === "skip" ? [glyph("skip"), t("work.skip")] : [h("span", {}, emojiOf(target)), pick(target)]));
  }

  /** Ask for the first, then for the second choice of "hard to say"; null ends the asking. */
  hard(choice, does) {
    const had = this.prompt.contains(document.activeElement);
    this.prompt.hidden = !choice;
    this.element.classList.toggle("hard", Boolean(choice));
    this.pad.except(choice?.first?.key ?? null);
    this.actions.hard.setAttribute("aria-pressed", choice ? "true" : "false");
    if (!choice) return void this.prompt.replaceChildren();
    const { first } = choice;
    const text = t(first ? "hard.second" : "hard.first");
    this.prompt.replaceChildren(
      h("strong", {}, first ? `${emojiOf(first)} ${text}` : text),
      first ? h("button.button", { type: "button", on: { click: does.only } }, t("hard.no_second")) : "",
      h("button.button.plain.icon", { type: "button", "aria-label": t("cancel"), on: { click: does.cancel } }, glyph("close")),
    );
    this.#announce(text);
    if (had || document.activeElement?.disabled) this.pad.focus();
    return undefined;
  }
}

function action(name, key, run) {
  return h("button.action", { type: "button", "aria-keyshortcuts": key, data: { action: name }, on: { click: run } }, glyph(name), h("span.label"), h("kbd", { "aria-hidden": "true" }, key));
}

/** Name a context key in the reader's language; one that we have no word for names itself. */
export function contextName(key) {
  const name = t(`context.${key}`);
  return name === `context.${key}` ? key : name;
}

export function said(value) {
  return value !== undefined && value !== null && value !== "";
}

export function plain(value) {
  return Array.isArray(value) ? value.map(plain).join("、") : typeof value === "object" ? JSON.stringify(value) : String(value);
}
