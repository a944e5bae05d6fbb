// Deciding: one item at a time with all its answers in view, by key or by tap. Disagreements are decided the same way.

import { explain, get, post, put } from "./api.js";
import { SignInNeededError } from "./auth.js";
import { shortcutsOn } from "./choices.js";
import { h, keepFocus, openSheet, toast } from "./dom.js";
import { number, pick, t } from "./i18n.js";
import { share } from "./owner-charts.js";
import { asked, button, COUNTED_AGAIN, howFar, named, percent, picture, prefetch, reasonText } from "./owner-parts.js";
import { emojiOf } from "./pad.js";
import { contextName } from "./view.js";

const AT_ONCE = 10;

/** Items to decide one after the other; `fetchMore(skip)` gives {items, total}. */
class Deciding {
  constructor(page, body, fetchMore, emptyText) {
    Object.assign(this, { page, body, fetchMore, emptyText });
    this.items = [];
    this.later = []; // ids that were put off in this visit
    this.done = []; // decided in this visit, the newest last
    this.total = 0;
    this.problem = null; // why there are no more items, when it is not that nothing waits
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey);
    this.fill();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    document.removeEventListener("keydown", this.onKey);
  }

  get current() {
    return this.items[0];
  }

  /** Ids of what is here or was; what was put off heads the queue for ever, so it comes last: the API leaves out the end. */
  get known() {
    return [...this.done.map((one) => one.item), ...this.items.map((one) => one.item), ...this.later];
  }

  async fill() {
    if (this.items.length < 3) await this.more();
    this.draw();
  }

  async more() {
    clearTimeout(this.timer);
    try {
      const found = await this.fetchMore(this.known, this.later.length);
      const known = new Set(this.known); // more may be known than was before
      this.items.push(...found.items.filter((one) => !known.has(one.item)));
      this.total = found.total;
      this.problem = null;
    } catch (error) {
      this.problem = error;
      if (error.code === "counting") this.timer = this.closed ? null : setTimeout(() => this.again(), COUNTED_AGAIN);
      else if (this.current || error instanceof SignInNeededError) await this.page.read(() => Promise.reject(error));
    }
  }

  /** Ask again for what was not counted yet; an item that is in view stays as it is. */
  async again() {
    const before = this.current;
    await this.more();
    if (!before || before !== this.current) this.draw();
  }

  draw() {
    if (!this.closed) keepFocus(this.body, () => this.drawn());
  }

  drawn() {
    const item = this.current;
    if (!item && this.problem) {
      const told = this.problem.code === "counting" ? howFar(this.problem)
        : h("div.card.stack", { role: "alert" }, h("h2", {}, t("error.title")), h("p", {}, explain(this.problem)), h("div.row", {}, button(t("owner.again"), () => this.fill(), { kind: ".primary" })));
      this.body.replaceChildren(h("div.stack", {}, told, this.tools()));
      return;
    }
    if (!item) {
      this.body.replaceChildren(h("div.card.empty", {}, h("p.big-emoji", { "aria-hidden": "true" }, "🍵"), h("p", {}, this.emptyText), this.tools()));
      return;
    }
    this.items.slice(1, 4).forEach((one) => prefetch(`${this.page.name}/${one.item}`, one.photo));
    this.body.replaceChildren(h("div.decide", {}, photoSide(this.page, item), h("div.decide-side.stack", {}, this.facts(item), this.choices(item), this.tools())));
    this.page.announce(this.told(item));
  }

  told(item) {
    return [t("owner.item", { item: Number(item.item) }), reasonText(item.reason), ...item.answers.map((one) => `${one.name}: ${answerText(this.page.job, one)}`)].filter(Boolean).join(". ");
  }

  facts(item) {
    const { job } = this.page;
    const state = item.state === "settled" ? t("owner.settled_as", { category: named(job, item.category), who: t(`owner.by.${item.settler}`) }) : "";
    return h("section.stack", {},
      h("div.row", {}, item.reason ? h("span.chip.warn", {}, reasonText(item.reason)) : "", state ? h("span.chip", {}, state) : "", item.lines > 1 ? h("span.chip", {}, t("owner.alike", { n: item.lines })) : ""),
      answersTable(job, item),
      item.beliefs.length ? h("ul.beliefs", {}, item.beliefs.map((one) => h("li", {}, h("span", {}, named(job, one.category)), h("span.number", {}, percent(one.share)), share(one.share, t("owner.belief.chart", { category: named(job, one.category), share: percent(one.share) }))))) : "");
  }

  choices(item) {
    const { job } = this.page;
    const likely = item.beliefs[0]?.category;
    return h("div.choices", { role: "group", "aria-label": t("owner.decide.as") }, job.categories.map((one, place) => h(`button.button.pick${one.key === likely ? ".likely" : ""}`, {
      type: "button", "aria-keyshortcuts": place < 9 ? String(place + 1) : null, on: { click: () => this.decide(one.key) },
    }, h("span.emoji", { "aria-hidden": "true" }, emojiOf(one)), h("span", {}, pick(one)), place < 9 ? h("kbd", { "aria-hidden": "true" }, place + 1) : "")));
  }

  tools() {
    const found = [];
    if (this.current) {
      found.push(
        button(t("owner.decide.later"), () => this.putOff(), { key: "s" }),
        button(t("owner.decide.again"), () => this.send("again", {}, t("owner.decided.again")), { key: "a", title: t("owner.decide.again.what") }),
        button(t("owner.decide.reject"), () => this.reject(), { key: "x", kind: ".danger" }),
        button(t("owner.gold.mark"), () => this.mark(), { key: "g", title: t("owner.gold.what") }),
      );
    }
    if (this.done.length) found.push(button(t("owner.decide.back"), () => this.back(), { key: "z" }));
    const left = Math.max(0, this.total - this.later.length);
    return h("div.row.tools", {}, found, this.current ? h("span.soft.small.number", {}, t("owner.waiting", { n: left })) : "");
  }

  decide(category) {
    return this.send("label", { category }, t("owner.decided.label", { category: named(this.page.job, category) }));
  }

  async reject() {
    const item = this.current;
    const problem = item.reason.startsWith("report: ") ? t(`owner.problem.${item.reason.slice(8)}`) : "";
    const given = await asked(t("owner.decide.reject"), [{ name: "reason", label: t("owner.decide.reject.why"), value: problem, required: true }], t("owner.decide.reject"), t("owner.decide.reject.note"));
    if (given && item === this.current) await this.send("reject", { reason: given.reason }, t("owner.decided.reject"));
  }

  async send(decision, more, said) {
    const item = this.current;
    if (!item || this.busy) return;
    this.busy = true;
    try {
      const answer = await post(`${this.page.path}/review`, { item: item.item, version: item.version, decision, ...more });
      this.items = this.items.filter((one) => one.item !== item.item);
      this.done.push(answer.item);
      this.total = Math.max(0, this.total - 1);
      this.page.announce(said);
      await this.fill();
    } catch (error) {
      if (error.code === "changed" || error.code === "gold") {
        this.items = this.items.filter((one) => one.item !== item.item);
        toast(t("owner.changed"));
        await this.fill();
      } else await this.page.read(() => Promise.reject(error));
    } finally {
      this.busy = false;
    }
  }

  putOff() {
    const item = this.items.shift();
    this.later.push(item.item);
    return this.fill();
  }

  /** The last decision comes back to be taken anew. */
  back() {
    const item = this.done.pop();
    this.items = [item, ...this.items.filter((one) => one.item !== item.item)];
    this.draw();
  }

  async mark() {
    const item = this.current;
    const category = await pickCategory(this.page.job, t("owner.gold.mark"), t("owner.gold.what"), item.beliefs[0]?.category);
    if (!category) return;
    const marked = await this.page.act(() => put(`${this.page.path}/gold/${item.item}`, { category }), t("owner.gold.marked"));
    if (!marked) return;
    this.items = this.items.filter((one) => one.item !== item.item);
    await this.fill();
  }

  key(event) {
    if (!this.current && event.key !== "z") return;
    if (!shortcutsOn() || event.metaKey || event.ctrlKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select, summary, a")) return;
    const place = Number(event.key) - 1;
    const does = { s: () => this.putOff(), a: () => this.send("again", {}, t("owner.decided.again")), x: () => this.reject(), g: () => this.mark(), z: () => this.done.length && this.back() }[event.key.toLowerCase()];
    if (this.page.job.categories[place] && place < 9) this.decide(this.page.job.categories[place].key);
    else if (does) does();
    else return;
    event.preventDefault();
  }
}

export function reviewView(page, body) {
  return new Deciding(page, body, (skip, putOff) => get(`${page.path}/review?limit=${Math.min(50, AT_ONCE + putOff)}&skip=${skip.slice(-50).join(",")}`), t("owner.review.none"));
}

export function disputesView(page, body) {
  return new Deciding(page, body, async (skip) => {
    const known = new Set(skip);
    let start = 0;
    for (;;) {
      const found = await get(`${page.path}/disagreements?limit=50&start=${start}`);
      const items = found.items.filter((one) => !known.has(one.item) && one.settler !== "owner" && !one.gold);
      if (items.length || found.items.length < 50) return { items, total: found.total };
      start += 50;
    }
  }, t("owner.disputes.none"));
}

/** The photo (or text) of an item with what is known of it. */
export function photoSide(page, item) {
  const context = Object.entries(item.context);
  return h("figure.decide-photo", {},
    picture(`${page.name}/${item.item}`, item.photo, { text: item.text, eager: true, alt: t("owner.item", { item: Number(item.item) }) }),
    h("figcaption.soft.small", {}, h("span.number", {}, t("owner.item", { item: Number(item.item) })), context.map(([key, value]) => h("span", {}, `${contextName(key)}: ${value}`))));
}

export function answerText(job, answer) {
  if (answer.kind === "skip") return t("owner.said.skip");
  if (answer.kind === "report") return t("owner.said.report", { problem: t(`owner.problem.${answer.problem}`) });
  if (answer.kind === "hard") {
    return answer.second ? t("owner.said.hard.two", { first: named(job, answer.category), second: named(job, answer.second) }) : t("owner.said.hard", { first: named(job, answer.category) });
  }
  return named(job, answer.category);
}

export function answersTable(job, item) {
  if (!item.answers.length) return h("p.soft", {}, t("owner.answers.none"));
  return h("table.answers", {}, h("caption.visually-hidden", {}, t("owner.answers")),
    h("thead.visually-hidden", {}, h("tr", {}, h("th", { scope: "col" }, t("owner.person")), h("th", { scope: "col" }, t("owner.answer")), h("th", { scope: "col" }, t("owner.seconds")))),
    h("tbody", {}, item.answers.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, answerText(job, one)),
      h("td.soft.number", {}, one.seconds === null ? "" : t("owner.seconds.n", { n: number(one.seconds, 1) }))))));
}

/** Ask for a category; resolves with its key, or "" when the person changed their mind. */
export async function pickCategory(job, title, note, likely = "") {
  let sheet;
  const choices = job.categories.map((one) => h(`button.button.pick${one.key === likely ? ".likely" : ""}`, { type: "button", on: { click: () => sheet.close(one.key) } },
    h("span.emoji", { "aria-hidden": "true" }, emojiOf(one)), h("span", {}, pick(one))));
  const shown = openSheet(title, t("close"), h("div.stack", {}, note ? h("p.soft.small", {}, note) : "", h("div.choices", {}, choices)));
  ({ sheet } = shown);
  (choices.find((one) => one.classList.contains("likely")) ?? choices[0]).focus();
  return shown.closed;
}
