// Labeling one job: what taps, swipes and keys do, and what is shown when.

import { get, photo, UnreachableError } from "./api.js";
import { SignInNeededError } from "./auth.js";
import { shortcutsOn } from "./choices.js";
import { h, toast } from "./dom.js";
import { Feed } from "./feed.js";
import { pick, t } from "./i18n.js";
import { shortcut } from "./keys.js";
import { swipesFor } from "./pad.js";
import { Session } from "./session.js";
import { reportSheet, rulesSheet } from "./sheets.js";
import { hold } from "./tab.js";
import { contextName, plain, said, WorkView } from "./view.js";

const TOO_SOON = 200; // milliseconds: the second half of a double tap is no answer to a photo that nobody has seen
const ASK_AGAIN = 3_000; // while it is not known what the job asks
const PATH_LIVES = 9 * 60_000;
const SAME = ["kind", "category", "second", "problem"];

export class Work {
  #store;
  #outbox;
  #feed;
  #person;
  #name;
  #app;
  #view;
  #job = null;
  #jobAt = -Infinity;
  #timer;
  #session = new Session();
  #shown = null; // the item on the stage, or the name of what is there instead
  #seen = null; // the task that was shown last, and since when
  #shownAt = -Infinity;
  #busy = false;
  #paused = false;
  #elsewhere = false;
  #hard = null;
  #direction = null;
  #answeredAt = null;
  #note = null; // "read the rules", until the first answer
  #examples = new Map();
  #listeners = new AbortController();
  #letGo = null;

  /** `app` offers {announce, openMenu, signInAgain, leave, firstPhoto}. */
  constructor({ store, outbox, person, job, app }) {
    this.#store = store;
    this.#outbox = outbox;
    this.#person = person;
    this.#name = job;
    this.#app = app;
    this.#feed = new Feed(store, outbox, person, job);
    this.#view = new WorkView({
      undo: () => this.#undo(),
      skip: () => this.#skip(),
      hard: () => this.#toggleHard(),
      report: () => this.#report(),
      rules: () => this.#rules(),
      pause: () => this.#togglePause(),
      menu: () => app.openMenu(),
      pick: (category, event) => this.#pick(category, event.timeStamp),
      swipe: (direction) => this.#swipe(direction),
      preview: (direction, far) => this.#view.preview(direction && this.#target(direction), direction, far),
      allows: (direction) => this.#target(direction) !== null,
      zoomed: (zoomed) => app.announce(t(zoomed ? "work.zoomed" : "work.unzoomed")),
      announce: app.announce,
    });
    this.element = this.#view.element;
  }

  /** Take up the job: what this device holds first, then what the server says. */
  async open() {
    this.#listen();
    this.#session = new Session(await this.#store.kept(this.#key("session")));
    this.#job = (await this.#store.kept(this.#key("job"))) ?? null;
    this.#relabel();
    this.#view.network(this.#outbox.online, this.#outbox.count);
    if (await this.#takeTab(false)) await this.#begin();
  }

  #listen() {
    const { signal } = this.#listeners;
    const on = (target, name, run) => target.addEventListener(name, run, { signal });
    on(document, "languagechange", () => this.#relabel());
    on(document, "keydown", (event) => this.#onKey(event));
    on(document, "visibilitychange", () => document.visibilityState === "visible" && this.#seenAgain());
    on(window, "resize", () => this.#view.stage.zoomed && this.#view.stage.toggleZoom());
    on(this.#feed, "change", () => this.#show());
    on(this.#feed, "state", () => this.#showState());
    on(this.#feed, "version", ({ detail }) => this.#job && detail !== this.#job.version && this.#fetchJob());
    on(this.#feed, "sign-in", () => this.#signIn());
    on(this.#feed, "error", ({ detail }) => this.#fail(detail));
    on(this.#outbox, "change", () => this.#view.network(this.#outbox.online, this.#outbox.count));
    on(this.#outbox, "sign-in", () => this.#signIn());
    on(this.#outbox, "refused", ({ detail }) => this.#refused(detail));
    on(this.#outbox, "progress", ({ detail }) => this.#progress(detail));
  }

  async #begin() {
    await this.#feed.load();
    this.#show();
    const fetched = this.#fetchJob();
    await this.#feed.fill();
    await fetched;
    this.#show();
  }

  async #fetchJob() {
    clearTimeout(this.#timer);
    try {
      const job = await get(`/api/jobs/${encodeURIComponent(this.#name)}`);
      const first = !this.#job;
      this.#job = job;
      this.#jobAt = Date.now();
      await this.#store.keep(this.#key("job"), job);
      this.#relabel();
      if (first && pick(job, "rules")) this.#note = toast(t("rules.first"), { label: t("rules.read"), run: () => this.#rules() });
    } catch (error) {
      if (error instanceof SignInNeededError) this.#signIn();
      else if (!(error instanceof UnreachableError)) this.#fail(error);
      else if (!this.#job) this.#askAgain(error.wait);
    }
  }

  /** Without what the job asks no photo can be shown: it goes on by itself once that is known. */
  #askAgain(wait) {
    this.#panel("end.offline", { run: () => this.#fetchJob() });
    if (!this.#listeners.signal.aborted) this.#timer = setTimeout(() => this.#fetchJob(), Math.max(wait, ASK_AGAIN));
  }

  close() {
    this.#listeners.abort();
    clearTimeout(this.#timer);
    this.#feed.close();
    this.#letGo?.();
    this.element.remove();
  }

  async #takeTab(steal) {
    this.#letGo = await hold(`menulens-work-${this.#person}-${this.#name}`, steal, () => this.#takenOver());
    if (!this.#letGo) this.#takenOver();
    return Boolean(this.#letGo);
  }

  #takenOver() {
    if (this.#listeners.signal.aborted) return;
    this.#elsewhere = true;
    this.#panel("end.elsewhere", {
      label: t("end.elsewhere.here"),
      run: async () => {
        if (!(await this.#takeTab(true))) return;
        this.#elsewhere = false;
        this.#paused = false;
        this.#shown = null;
        await this.#begin();
      },
    });
  }

  // --- showing -----------------------------------------------------------------------------------

  /** Whether the stage is for items now: not in a pause, nor while another tab has the job. */
  get #working() {
    return Boolean(this.#job) && !this.#paused && !this.#elsewhere;
  }

  #relabel() {
    if (!this.#job) return;
    this.#view.label(this.#job, this.#paused);
    this.#view.network(this.#outbox.online, this.#outbox.count);
    this.#shown = null;
    if (this.#hard) this.#askHard();
    if (this.#elsewhere) this.#takenOver();
    else if (this.#paused) this.#showPause();
    else this.#show();
    this.#showState();
  }

  #show() {
    this.#view.actions.undo.disabled = !this.#feed.done.length;
    if (!this.#working) return;
    const task = this.#feed.current;
    if (!task) return void this.#showEnd();
    if (this.#shown === task.item) return;
    const content = this.#content(task);
    if (!content) return void this.#loading();
    this.#view.item(task, content, this.#job.context_keys ?? [], this.#direction);
    if (this.#seen !== task) this.#shownAt = performance.now();
    this.#seen = task;
    this.#shown = task.item;
    this.#measure();
    this.#app.firstPhoto();
  }

  /** Keep how long the next photo took, from the finger to the glass, where tests and curious people find it. */
  #measure() {
    const start = this.#answeredAt;
    this.#answeredAt = null;
    if (start !== null) requestAnimationFrame(() => setTimeout(() => performance.measure("next photo", { start, end: performance.now() })));
  }

  #content(task) {
    if (said(task.task.text)) return h("p.text-item", {}, task.task.text);
    if (task.failed) return h("div.panel", {}, h("p.panel-mark", { "aria-hidden": "true" }, "🖼️"), h("h2", {}, t("photo.failed")), h("p.soft", {}, t("photo.failed.what")));
    const image = this.#feed.image(task);
    if (image) Object.assign(image, { className: "photo", alt: t("work.photo", { n: this.#session.count + 1 }), draggable: false });
    return image;
  }

  #loading() {
    if (this.#shown === "loading") return;
    this.#shown = "loading";
    this.#view.loading();
  }

  #showEnd() {
    const { state, open, blocked } = this.#feed.state;
    const leave = { label: t("settings.jobs"), run: () => this.#app.leave(), quiet: true };
    if (!this.#outbox.online) this.#panel("end.offline");
    else if (!this.#feed.asked) this.#loading();
    else if (state === "complete" || state === "stopped") this.#panel(`end.${state}`, leave);
    else if (state === "paused") this.#panel("end.paused");
    else if (blocked) this.#panel("end.blocked", leave);
    else if (open === 0) this.#panel("end.complete", leave); // it ends in a moment, when all is judged once more
    else this.#panel("end.rest", { run: () => this.#feed.fill(), quiet: true });
  }

  #panel(key, action = null, more = null) {
    if (this.#shown === key) return;
    this.#shown = key;
    this.#view.panel(key, action, more);
  }

  #showState() {
    const { open, total } = this.#feed.state;
    this.#view.tally(this.#session.count, open, total);
    if (!this.#feed.current && this.#working) this.#showEnd();
  }

  #progress(told) {
    if (told.job !== this.#name) return;
    this.#feed.progress(told);
    if (!this.#feed.current && this.#working) this.#feed.fill();
  }

  // --- answering ---------------------------------------------------------------------------------

  /** Return what a swipe means now: a category, "skip", or null. */
  #target(direction) {
    if (!this.#ready) return null;
    if (direction === "down") return this.#hard ? null : "skip";
    return this.#job.categories[swipesFor(this.#job.categories.length)[direction]] ?? null;
  }

  get #ready() {
    return this.#working && this.#feed.current !== null && this.#shown === this.#feed.current.item && !this.#busy;
  }

  #swipe(direction) {
    const target = this.#target(direction);
    if (target === "skip") this.#skip();
    else if (target) this.#pick(target, performance.now(), direction);
  }

  #pick(category, at = performance.now(), direction = "up") {
    if (!this.#hard) return this.#answer({ kind: "label", category: category.key }, direction, at);
    if (this.#hard.first) return category.key === this.#hard.first.key ? undefined : this.#answerHard(category);
    this.#hard = { first: category };
    return this.#askHard();
  }

  #skip() {
    return this.#answer({ kind: "skip" }, "down");
  }

  /** Record an answer to the shown item and show the next one; `at` is when the finger left the glass. */
  async #answer(body, direction, at = performance.now()) {
    const now = performance.now();
    if (!this.#ready || now - this.#shownAt < TOO_SOON) return;
    const task = this.#feed.current;
    const unchanged = task.answer && SAME.every((key) => task.answer[key] === body[key]);
    const replaces = task.answer ? { replaces: task.answer.id } : {};
    const answer = unchanged ? task.answer : {
      id: crypto.randomUUID(), item: task.item, ...body, ...replaces, shown_ms: Math.round(now - this.#shownAt), at: new Date().toISOString(),
    };
    const step = body.kind === "skip" ? 0 : 1;
    this.#busy = true;
    this.#note?.remove();
    this.#direction = direction;
    this.#answeredAt = Math.min(at, now);
    this.#leaveHard();
    this.#session.counted(step);
    try {
      await this.#feed.answer(answer, { [this.#key("session")]: this.#session.toKeep() });
    } catch (error) {
      this.#session.counted(-step);
      return void this.#fail(error);
    } finally {
      this.#busy = false;
      this.#direction = null;
    }
    this.#view.pad.mark("hit", body.category ?? null);
    this.#showState();
    navigator.vibrate?.(8);
    const next = this.#feed.current;
    this.#app.announce([t("work.said", { answer: this.#say(answer) }), next ? this.#describe(next) : ""].join(" "));
  }

  async #undo() {
    if (this.#busy || !this.#working) return;
    if (this.#hard) return void this.#leaveHard();
    const last = this.#feed.done.at(-1);
    if (!last) return void this.#app.announce(t("work.nothing_to_undo"));
    const step = last.answer.kind === "skip" ? 0 : 1;
    this.#busy = true;
    this.#session.counted(-step);
    try {
      await this.#feed.undo({ [this.#key("session")]: this.#session.toKeep() });
    } catch (error) {
      this.#session.counted(step);
      return void this.#fail(error);
    } finally {
      this.#busy = false;
    }
    this.#showState();
    if (document.activeElement === document.body || document.activeElement?.disabled) this.#view.pad.focus();
    this.#app.announce(t("work.undone", { n: this.#session.count + 1, answer: this.#say(last.answer) }));
  }

  /** Say an answer in words. */
  #say({ kind, category, second, problem }) {
    const name = (key) => pick(this.#job.categories.find((one) => one.key === key) ?? { ja: key, en: key });
    if (kind === "label") return name(category);
    if (kind === "hard") return second ? t("hard.said", { first: name(category), second: name(second) }) : t("hard.said.one", { first: name(category) });
    return kind === "skip" ? t("skip.said") : t(`report.said.${problem}`);
  }

  /** Tell who can't see it what is on the stage. */
  #describe({ task }) {
    const keys = (this.#job.context_keys ?? []).filter((key) => said(task.context?.[key]));
    const about = keys.map((key) => `${contextName(key)}: ${plain(task.context[key])}.`);
    const name = t(said(task.text) ? "work.text" : "work.photo", { n: this.#session.count + 1 });
    return [`${name}.`, task.together > 1 ? `${t("work.together", { n: task.together })}.` : "", ...about, task.text ?? ""].filter(Boolean).join(" ");
  }

  #toggleHard() {
    if (this.#hard) {
      this.#leaveHard();
    } else if (this.#ready) {
      this.#hard = { first: null };
      this.#askHard();
    }
  }

  #askHard() {
    this.#view.hard(this.#hard, { only: () => this.#answerHard(null), cancel: () => this.#leaveHard() });
  }

  #answerHard(second) {
    return this.#answer({ kind: "hard", category: this.#hard.first.key, ...(second ? { second: second.key } : {}) }, "up");
  }

  #leaveHard() {
    if (!this.#hard) return;
    this.#hard = null;
    const inside = this.#view.prompt.contains(document.activeElement);
    this.#view.hard(null);
    if (inside) this.#view.actions.hard.focus({ focusVisible: false });
  }

  async #report() {
    if (!this.#ready) return;
    const problem = await reportSheet();
    if (problem) await this.#answer({ kind: "report", problem }, "down");
  }

  #rules() {
    if (this.#job) rulesSheet(this.#job, swipesFor(this.#job.categories.length), (category) => this.#example(category));
  }

  /** Fetch a category's example photo, once; its path is good for a while only, so an old one is asked for anew. */
  async #example(category) {
    const have = this.#examples.get(category.key);
    if (have) return have;
    if (Date.now() - this.#jobAt > PATH_LIVES) await this.#fetchJob();
    const { example } = this.#job.categories.find((one) => one.key === category.key);
    this.#examples.set(category.key, URL.createObjectURL(await photo(example)));
    return this.#examples.get(category.key);
  }

  // --- pause, return, trouble --------------------------------------------------------------------

  #togglePause() {
    if (this.#paused) this.#resume();
    else if (this.#working) this.#pause();
  }

  #pause() {
    this.#leaveHard();
    this.#paused = true;
    this.#session.counted(0);
    this.#view.pausing(true);
    this.#showPause();
    return this.#feed.handBack().catch((error) => this.#fail(error));
  }

  #showPause() {
    const { mine, open } = this.#feed.state;
    const { count, pace } = this.#session;
    this.#panel("pause", { label: t("pause.resume"), run: () => this.#resume() }, this.#view.figures({ count, pace, mine, open }));
  }

  #resume() {
    this.#paused = false;
    this.#session.resumed();
    this.#seen = null; // nobody has looked at it meanwhile
    this.#view.pausing(false);
    this.#show();
    this.#feed.fill();
    if (document.activeElement === document.body) this.#view.pad.focus();
    if (this.#feed.current) this.#app.announce(this.#describe(this.#feed.current));
  }

  #seenAgain() {
    this.#session.resumed(); // the screen was off: that is no working time, and nobody has looked
    this.#shownAt = performance.now();
    if (this.#working) this.#feed.fill();
  }

  #signIn() {
    this.#panel("end.sign_in", { label: t("sign_in.again"), run: () => this.#app.signInAgain() });
  }

  async #refused({ job, item }) {
    if (job === this.#name) await this.#feed.forget(item);
    this.#show();
  }

  #fail(error) {
    this.#shown = "trouble";
    this.#view.trouble(error, () => location.reload(), () => this.#app.leave());
  }

  // --- keys --------------------------------------------------------------------------------------

  #onKey(event) {
    if (!this.#job || document.querySelector("dialog[open]") || event.altKey || event.metaKey || event.isComposing) return;
    if ((event.ctrlKey && event.key !== "z") || (event.repeat && !event.key.startsWith("Arrow"))) return;
    if (event.key === "Escape") {
      if (this.#hard) this.#leaveHard();
      else if (this.#view.stage.zoomed) this.#view.stage.toggleZoom();
      return;
    }
    if (!shortcutsOn()) return;
    const { stage } = this.#view;
    const pickIf = (category) => this.#ready && category && this.#pick(category, event.timeStamp);
    const run = shortcut(event, {
      digit: (n) => pickIf(this.#job.categories[n - 1]),
      outcast: () => pickIf(this.#job.categories.find((category) => !category.trains)),
      undo: () => this.#undo(),
      skip: () => this.#skip(),
      hard: () => this.#toggleHard(),
      report: () => this.#report(),
      pause: () => this.#togglePause(),
      rules: () => this.#rules(),
      done: () => this.#answerHard(null),
      zoom: () => (this.#paused ? this.#resume() : stage.toggleZoom()),
      zoomBy: (factor) => stage.zoomBy(factor),
      pan: (x, y) => stage.pan(x, y),
    }, { zoomed: stage.zoomed, waitsForSecond: Boolean(this.#hard?.first) });
    if (!run) return;
    event.preventDefault();
    run();
  }

  #key(what) {
    return `${what}:${this.#person}:${this.#name}`;
  }
}
