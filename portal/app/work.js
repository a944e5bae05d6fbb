// Labeling one job: what is on the screen, and what taps, swipes and keys do.

import { explain, get, UnreachableError } from "./api.js";
import { SignInNeededError } from "./auth.js";
import { glyph, h, toast } from "./dom.js";
import { Feed } from "./feed.js";
import { number, pick, t } from "./i18n.js";
import { shortcutsOn } from "./choices.js";
import { emojiOf, Pad, swipesFor } from "./pad.js";
import { Session } from "./session.js";
import { reportSheet, rulesSheet } from "./sheets.js";
import { Stage } from "./stage.js";

const TOO_SOON = 200; // milliseconds: the second half of a double tap is no answer to a photo that nobody has seen
const LOCK_WAIT = 600;

export class Work {
  #store;
  #outbox;
  #feed;
  #person;
  #name;
  #job = null;
  #session = null;
  #shownAt = -Infinity;
  #shown = null;
  #busy = false;
  #paused = false;
  #hard = null;
  #direction = null;
  #examples = new Map();
  #listeners = new AbortController();
  #release = null;
  #app;

  /** `app` offers {announce, openMenu, signInAgain, leave, firstPhoto}. */
  constructor({ store, outbox, person, job, app }) {
    this.#store = store;
    this.#outbox = outbox;
    this.#person = person;
    this.#name = job;
    this.#app = app;
    this.#feed = new Feed(store, outbox, person, job);
    this.#build();
  }

  #build() {
    const button = (name, key, run) => {
      const label = h("span.label");
      const one = h("button.action", { type: "button", "aria-keyshortcuts": key, data: { action: name }, on: { click: run } }, glyph(name), label, h("kbd", { "aria-hidden": "true" }, key));
      one.label = label;
      return one;
    };
    this.stage = new Stage({
      onSwipe: (direction) => this.#swipe(direction),
      onPreview: (direction, far) => this.#preview(direction, far),
      onZoom: (zoomed) => this.#app.announce(t(zoomed ? "work.zoomed" : "work.unzoomed")),
      allows: (direction) => this.#target(direction) !== null,
    });
    this.pad = new Pad((category, event) => this.#pick(category, event.timeStamp));
    this.actions = {
      undo: button("undo", "z", () => this.#undo()),
      skip: button("skip", "s", () => this.#skip()),
      hard: button("hard", "h", () => (this.#hard ? this.#leaveHard() : this.#enterHard())),
      report: button("report", "r", () => this.#report()),
    };
    this.question = h("span.question");
    this.rules = h("button.rules", { type: "button", "aria-keyshortcuts": "?", on: { click: () => this.#rules() } }, this.question, glyph("rules"));
    this.pauseButton = h("button.button.plain.icon", { type: "button", "aria-keyshortcuts": "p", on: { click: () => (this.#paused ? this.#resume() : this.#pause()) } });
    this.menuButton = h("button.button.plain.icon", { type: "button", on: { click: () => this.#app.openMenu() } }, glyph("menu"));
    this.count = h("span.count.number");
    this.sync = h("span.sync");
    this.meter = h("progress.meter", { max: 1, value: 0 });
    this.context = h("dl.context");
    this.together = h("p.together.chip", { hidden: true });
    this.prompt = h("div.prompt", { hidden: true });
    this.stage.element.append(this.together);
    this.actionRow = h("div.actions", { role: "group" }, Object.values(this.actions));
    this.element = h(
      "div.work",
      {},
      h("header.bar", {}, this.pauseButton, h("h1", { tabindex: "-1" }, this.rules), h("div.tally", {}, this.count, this.sync), this.menuButton, this.meter),
      h("main.main", {}, this.stage.element, h("div.side", {}, this.context, this.prompt, this.pad.element, this.actionRow)),
    );
  }

  /** Take up the job: what this device holds first, then what the server says. */
  async open() {
    const signal = { signal: this.#listeners.signal };
    document.addEventListener("languagechange", () => this.#relabel(), signal);
    document.addEventListener("keydown", (event) => this.#key(event), signal);
    document.addEventListener("visibilitychange", () => this.#seenAgain(), signal);
    addEventListener("resize", () => this.stage.zoomed && this.stage.toggleZoom(), signal);
    this.#feed.addEventListener("change", () => this.#show());
    this.#feed.addEventListener("state", () => this.#showState());
    this.#feed.addEventListener("sign-in", () => this.#signIn());
    this.#feed.addEventListener("error", ({ detail }) => this.#fail(detail));
    this.#outbox.addEventListener("change", () => this.#showSync(), signal);
    this.#outbox.addEventListener("sign-in", () => this.#signIn(), signal);
    this.#outbox.addEventListener("refused", ({ detail }) => this.#refused(detail), signal);
    this.#outbox.addEventListener("progress", ({ detail }) => {
      if (detail.job !== this.#name) return;
      this.#feed.progress(detail);
      if (!this.#feed.current && !this.#paused) this.#feed.fill();
    }, signal);
    this.#session = new Session(await this.#store.kept(this.#key_("session")));
    this.#job = (await this.#store.kept(this.#key_("job"))) ?? null;
    if (this.#job) this.#relabel();
    this.#showSync();
    if (!(await this.#takeLock())) return;
    await this.#begin();
  }

  async #begin() {
    await this.#feed.load();
    this.#show();
    const fetched = this.#fetchJob();
    this.#outbox.flush();
    if (this.#job) await this.#feed.fill();
    await fetched;
    if (!this.#feed.asked) await this.#feed.fill();
  }

  async #fetchJob() {
    try {
      const job = await get(`/api/jobs/${encodeURIComponent(this.#name)}`);
      await this.#store.keep(this.#key_("job"), job);
      const first = !this.#job;
      this.#job = job;
      this.#relabel();
      if (first && (job.rules_ja || job.rules_en)) toast(t("rules.title"), { label: t("work.rules"), run: () => this.#rules() });
    } catch (error) {
      if (error instanceof SignInNeededError) this.#signIn();
      else if (!(error instanceof UnreachableError)) this.#fail(error);
      else if (!this.#job) this.#panel("end.offline", { run: () => this.#begin() });
    }
  }

  close() {
    this.#listeners.abort();
    this.#feed.close();
    this.#release?.();
    this.element.remove();
  }

  // --- one tab at a time -------------------------------------------------------------------------

  async #takeLock(steal = false) {
    if (!navigator.locks) return true;
    const name = `menulens-work-${this.#person}-${this.#name}`;
    const options = steal ? { steal: true } : { signal: AbortSignal.timeout(LOCK_WAIT) };
    return new Promise((resolve) => {
      navigator.locks
        .request(name, options, () => {
          resolve(true);
          return new Promise((release) => {
            this.#release = release;
          });
        })
        .catch(() => {
          // Not granted in time, or another tab took over.
          resolve(false);
          if (!this.#listeners.signal.aborted) this.#elsewhere();
        });
    });
  }

  #elsewhere() {
    this.#paused = true;
    this.#panel("end.elsewhere", {
      label: t("end.elsewhere.here"),
      run: async () => {
        if (!(await this.#takeLock(true))) return;
        this.#paused = false;
        this.#shown = null;
        await this.#begin();
      },
    });
  }

  // --- showing -----------------------------------------------------------------------------------

  #relabel() {
    if (!this.#job) return;
    const job = this.#job;
    document.title = `${pick(job, "question")} · ${t("app.name")}`;
    this.question.textContent = pick(job, "question");
    this.rules.setAttribute("aria-label", `${pick(job, "question")} ${t("work.rules")}`);
    this.menuButton.setAttribute("aria-label", t("menu"));
    for (const [name, button] of Object.entries(this.actions)) button.label.textContent = t(`work.${name}`);
    this.actionRow.setAttribute("aria-label", t("work.actions"));
    this.context.classList.toggle("none", !job.context_keys?.length);
    this.pad.show(job.categories, t("work.categories"));
    this.#showPauseButton();
    this.#shown = null;
    this.#show();
    this.#showState();
    this.#showSync();
    if (this.#hard) this.#promptHard();
    if (this.#paused && this.#release) this.#showPause();
  }

  #show() {
    const task = this.#feed.current;
    this.actions.undo.disabled = !this.#feed.done.length;
    if (this.#paused || !this.#job) return;
    if (!task) return this.#showEnd();
    const content = this.#content(task);
    if (!content) return this.#showLoading();
    const same = this.#shown === task.item && this.stage.layers.contains(content);
    this.#able(true);
    if (same) return undefined;
    this.stage.show(content, this.#direction);
    this.#shown = task.item;
    this.#shownAt = performance.now();
    this.pad.mark("was", task.answer?.category ?? null);
    this.#showContext(task.task.context ?? {});
    const { together } = task.task;
    this.together.hidden = !(together > 1);
    if (together > 1) {
      this.together.replaceChildren(glyph("photos"), t("work.together", { n: together }));
      this.together.title = t("work.together.long", { n: together });
    }
    this.#app.firstPhoto();
    return undefined;
  }

  #content(task) {
    if (task.task.text !== null && task.task.text !== undefined) return h("p.text-item", { lang: "ja" }, task.task.text);
    if (task.failed) return h("div.panel", {}, h("p.panel-mark", {}, glyph("broken")), h("p", {}, t("photo.failed")), h("p.soft", {}, t("photo.failed.what")));
    const image = this.#feed.image(task);
    if (image) {
      image.className = "photo";
      image.alt = t("work.photo", { n: this.#session.count + 1 });
      image.draggable = false;
    }
    return image;
  }

  #showLoading() {
    this.#able(false);
    if (this.#shown === "loading") return;
    this.#shown = "loading";
    this.together.hidden = true;
    this.stage.show(h("div.panel.waiting", { role: "status" }, h("p.soft", {}, t("work.loading"))));
  }

  #showEnd() {
    const { state, blocked } = this.#feed.state;
    if (!this.#outbox.online) this.#panel("end.offline");
    else if (!this.#feed.asked) this.#showLoading();
    else if (state === "complete") this.#panel("end.complete", { label: t("settings.jobs"), run: () => this.#app.leave(), quiet: true });
    else if (state === "stopped") this.#panel("end.stopped", { label: t("settings.jobs"), run: () => this.#app.leave(), quiet: true });
    else if (state === "paused") this.#panel("end.paused");
    else if (blocked) this.#panel("end.blocked", { label: t("settings.jobs"), run: () => this.#app.leave(), quiet: true });
    else this.#panel("end.rest", { label: t("end.again"), run: () => this.#feed.fill(), quiet: true });
  }

  /** Say on the stage what is up, instead of a photo. */
  #panel(key, action = null, more = null) {
    this.#able(false);
    if (this.#shown === key && !more) return;
    this.#shown = key;
    this.together.hidden = true;
    this.pad.mark("was", null);
    this.#showContext({});
    const heading = h("h2", { tabindex: "-1" }, t(key));
    const button = action && h(`button.button${action.quiet ? "" : ".primary"}`, { type: "button", on: { click: action.run } }, action.label ?? t("end.again"));
    this.stage.show(h("div.panel", {}, h("p.panel-mark", { "aria-hidden": "true" }, MARKS[key] ?? "🍵"), heading, h("p.soft", {}, t(`${key}.text`)), more, button));
    this.#app.announce(`${t(key)} ${t(`${key}.text`)}`);
    if (document.activeElement === document.body || document.activeElement?.closest("[inert]")) heading.focus();
  }

  #able(yes) {
    this.pad.element.inert = !yes;
    for (const name of ["skip", "hard", "report"]) this.actions[name].disabled = !yes;
    this.element.classList.toggle("idle", !yes);
  }

  #showContext(context) {
    const keys = (this.#job?.context_keys ?? []).filter((key) => context[key] !== undefined && context[key] !== "" && context[key] !== null);
    this.context.replaceChildren(...keys.map((key) => h("div", {}, h("dt", {}, contextName(key)), h("dd", {}, plain(context[key])))));
  }

  #showState() {
    const { open, total } = this.#feed.state;
    if (total) {
      this.meter.max = total;
      this.meter.value = total - open;
      this.meter.setAttribute("aria-label", t("work.progress", { done: total - open, total }));
    }
    this.count.textContent = number(this.#session?.count ?? 0);
    this.count.title = t("work.count", { n: this.#session?.count ?? 0 });
    if (!this.#feed.current && !this.#paused && this.#job) this.#showEnd();
  }

  #showSync() {
    const { count, online } = this.#outbox;
    const [name, text] = !online ? ["offline", t("sync.offline")] : count ? ["waiting", t("sync.waiting", { n: count })] : ["sent", t("sync.sent")];
    const state = `${name} ${count}`;
    if (this.sync.dataset.state === state && this.sync.title === text) return;
    const wasOffline = this.sync.dataset.state?.startsWith("offline");
    this.sync.dataset.state = state;
    this.sync.title = text;
    this.sync.className = `sync ${name}`;
    this.sync.replaceChildren(glyph(name), count ? h("span.number", { "aria-hidden": "true" }, number(count)) : "", h("span.visually-hidden", {}, text));
    if (name === "offline" && !wasOffline) this.#app.announce(text);
    if (wasOffline && name === "sent") this.#app.announce(text);
  }

  #showPauseButton() {
    this.pauseButton.replaceChildren(glyph(this.#paused ? "play" : "pause"));
    this.pauseButton.setAttribute("aria-label", t(this.#paused ? "pause.resume" : "work.pause"));
    this.pauseButton.title = t(this.#paused ? "pause.resume" : "work.pause");
  }

  // --- answering ---------------------------------------------------------------------------------

  #target(direction) {
    if (!this.#feed.current || this.#paused || this.pad.element.inert) return null;
    if (direction === "down") return this.#hard ? null : "skip";
    const place = swipesFor(this.#job.categories.length)[direction];
    return this.#job.categories[place] ?? null;
  }

  #preview(direction, far) {
    const target = direction && this.#target(direction);
    this.stage.preview.hidden = !target;
    this.pad.mark("aim", target?.key ?? null);
    if (!target) return;
    this.stage.preview.className = `preview at-${direction}${far ? " far" : ""}`;
    this.stage.preview.replaceChildren(...(target === "skip" ? [glyph("skip"), t("work.skip")] : [h("span", {}, emojiOf(target)), pick(target)]));
  }

  #swipe(direction) {
    const target = this.#target(direction);
    if (target === "skip") this.#skip("down");
    else if (target) this.#pick(target, performance.now(), direction);
  }

  #pick(category, at = performance.now(), direction = "up") {
    if (!this.#hard) return this.#answer({ kind: "label", category: category.key }, pick(category), direction, at);
    if (!this.#hard.first) {
      this.#hard.first = category;
      return this.#promptHard();
    }
    if (category.key === this.#hard.first.key) return undefined;
    return this.#answerHard(category);
  }

  #skip(direction = "down") {
    this.#answer({ kind: "skip" }, t("skip.said"), direction);
  }

  /** Record an answer to the shown item, and show the next one. */
  async #answer(body, said, direction, at = performance.now()) {
    const task = this.#feed.current;
    const now = performance.now();
    if (!task || this.#busy || this.#paused || this.#shown !== task.item || now - this.#shownAt < TOO_SOON) return;
    this.#busy = true;
    const { item } = task;
    const changed = !task.answer || ["kind", "category", "second", "problem"].some((key) => task.answer[key] !== body[key]);
    const answer = changed
      ? { id: crypto.randomUUID(), item, ...body, ...(task.answer ? { replaces: task.answer.id } : {}), shown_ms: Math.round(now - this.#shownAt), at: new Date().toISOString() }
      : task.answer;
    const step = body.kind === "skip" ? 0 : 1;
    this.#session.counted(step);
    this.#leaveHard(false);
    this.#direction = direction;
    try {
      await this.#feed.answer(answer, { [this.#key_("session")]: this.#session.toKeep() });
    } catch (error) {
      this.#session.counted(-step);
      this.#fail(error);
      return;
    } finally {
      this.#direction = null;
      this.#busy = false;
    }
    if (body.category) this.pad.mark("hit", body.category);
    requestAnimationFrame(() => setTimeout(() => performance.measure("next photo", { start: Math.min(at, now), end: performance.now() })));
    this.#showState();
    navigator.vibrate?.(8);
    const next = this.#feed.current;
    this.#app.announce([t("work.said", { answer: said }), next ? this.#describe(next) : ""].join(" "));
  }

  #describe(task) {
    const keys = (this.#job.context_keys ?? []).filter((key) => task.task.context?.[key]);
    const context = keys.map((key) => `${contextName(key)}: ${plain(task.task.context[key])}.`);
    const name = t(task.task.text ? "work.text" : "work.photo", { n: this.#session.count + 1 });
    return [`${name}.`, task.task.together > 1 ? `${t("work.together", { n: task.task.together })}.` : "", ...context, task.task.text ?? ""].filter(Boolean).join(" ");
  }

  async #undo() {
    if (this.#busy || this.#paused) return;
    if (this.#hard) return void this.#leaveHard();
    const last = this.#feed.done.at(-1);
    if (!last) return void this.#app.announce(t("work.nothing_to_undo"));
    this.#busy = true;
    this.#session.counted(last.answer.kind === "skip" ? 0 : -1);
    try {
      await this.#feed.undo({ [this.#key_("session")]: this.#session.toKeep() });
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#busy = false;
    }
    this.#show();
    this.#showState();
    if (this.actions.undo.disabled && document.activeElement === document.body) this.pad.focus();
    this.#app.announce(t("work.undone", { n: this.#session.count + 1, answer: this.#said(last.answer) }));
  }

  #said(answer) {
    const name = (key) => pick(this.#job.categories.find((category) => category.key === key) ?? { ja: key, en: key });
    if (answer.kind === "label") return name(answer.category);
    if (answer.kind === "hard") return answer.second ? t("hard.said", { first: name(answer.category), second: name(answer.second) }) : t("hard.said.one", { first: name(answer.category) });
    return answer.kind === "skip" ? t("skip.said") : t(`report.said.${answer.problem}`);
  }

  // --- hard to say -------------------------------------------------------------------------------

  #enterHard() {
    if (!this.#feed.current || this.#busy || this.#paused) return;
    this.#hard = { first: null };
    this.actions.hard.setAttribute("aria-pressed", "true");
    this.#promptHard();
  }

  #promptHard() {
    const { first } = this.#hard;
    const text = t(first ? "hard.second" : "hard.first");
    this.pad.except(first?.key ?? null);
    const had = this.prompt.contains(document.activeElement);
    const only = first && h("button.button", { type: "button", on: { click: () => this.#answerHard(null) } }, t("hard.no_second"));
    const cancel = h("button.button.plain", { type: "button", on: { click: () => this.#leaveHard() } }, t("cancel"));
    this.prompt.replaceChildren(h("strong", {}, first ? `${emojiOf(first)} ${text}` : text), only || "", cancel);
    this.prompt.hidden = false;
    this.element.classList.add("hard");
    this.#app.announce(text);
    if (had || document.activeElement === document.body) this.pad.element.querySelector("button:enabled")?.focus();
  }

  #answerHard(second) {
    const { first } = this.#hard;
    const said = second ? t("hard.said", { first: pick(first), second: pick(second) }) : t("hard.said.one", { first: pick(first) });
    return this.#answer({ kind: "hard", category: first.key, ...(second ? { second: second.key } : {}) }, said, "up");
  }

  #leaveHard(focus = true) {
    if (!this.#hard) return;
    this.#hard = null;
    this.actions.hard.removeAttribute("aria-pressed");
    const had = this.prompt.contains(document.activeElement) || document.activeElement?.disabled;
    this.prompt.hidden = true;
    this.pad.except(null);
    this.element.classList.remove("hard");
    if (focus || had) this.actions.hard.focus({ focusVisible: false });
  }

  // --- sheets, pause -----------------------------------------------------------------------------

  async #report() {
    if (!this.#feed.current || this.#busy || this.#paused) return;
    const problem = await reportSheet();
    if (problem) await this.#answer({ kind: "report", problem }, t(`report.said.${problem}`), "down");
  }

  #rules() {
    if (this.#job) rulesSheet(this.#job, swipesFor(this.#job.categories.length), this.#examples);
  }

  async #pause() {
    if (this.#paused || !this.#job) return;
    this.#paused = true;
    this.#leaveHard(false);
    this.#session.counted(0);
    this.#showPauseButton();
    this.#showPause();
    await this.#feed.handBack();
  }

  #showPause() {
    const { mine, open } = this.#feed.state;
    const { count, pace } = this.#session;
    const figures = [["pause.count", number(count)], ["pause.pace", pace ? number(pace, 1) : "–"], ["pause.mine", number(mine ?? 0)], ["pause.open", open === null ? "–" : number(open)]];
    this.#shown = null;
    this.#panel(
      "pause",
      { label: t("pause.resume"), run: () => this.#resume() },
      h("dl.figures", {}, figures.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd.number", {}, value)))),
    );
  }

  #resume() {
    if (!this.#release && navigator.locks) return;
    this.#paused = false;
    this.#session.resumed();
    this.#showPauseButton();
    this.#shown = null;
    this.#show();
    this.#feed.fill();
    if (document.activeElement === document.body) this.pad.focus();
    const task = this.#feed.current;
    if (task) this.#app.announce(this.#describe(task));
  }

  #seenAgain() {
    if (document.visibilityState === "hidden") return;
    this.#shownAt = Math.max(this.#shownAt, performance.now() - TOO_SOON); // the screen was off: that is no time of looking
    this.#session?.resumed();
    if (!this.#paused && this.#job) this.#feed.fill();
  }

  #signIn() {
    this.#panel("end.sign_in", { label: t("sign_in.again"), run: () => this.#app.signInAgain() });
  }

  #refused({ job, item, code, message }) {
    if (job === this.#name) this.#feed.forget(item).then(() => this.#show());
    toast(t("error.refused", { n: 1, reason: explainCode(code, message) }));
  }

  #fail(error) {
    this.#app.announce(explain(error));
    this.#shown = null;
    this.#able(false);
    this.stage.show(h("div.panel", { role: "alert" }, h("p.panel-mark", { "aria-hidden": "true" }, "🫖"), h("h2", {}, t("error.title")), h("p", {}, error.name === "StorageError" ? t("error.storage") : explain(error)),
      h("button.button.primary", { type: "button", on: { click: () => location.reload() } }, t("error.retry")),
      h("button.button.plain", { type: "button", on: { click: () => this.#app.leave() } }, t("settings.jobs"))));
  }

  // --- keys --------------------------------------------------------------------------------------

  #key(event) {
    if (event.repeat && !event.key.startsWith("Arrow")) return;
    if (document.querySelector("dialog[open]") || event.altKey || event.metaKey || event.isComposing || !this.#job) return;
    if (event.ctrlKey && event.key !== "z") return;
    if (event.key === "Escape") {
      if (this.#hard) this.#leaveHard();
      else if (this.stage.zoomed) this.stage.toggleZoom();
      return;
    }
    if (!shortcutsOn()) return;
    const run = this.#shortcut(event);
    if (!run) return;
    event.preventDefault();
    run();
  }

  #shortcut(event) {
    if (/^[1-9]$/.test(event.key)) {
      const category = this.#job.categories[event.key - 1];
      return category && !this.pad.element.inert ? () => this.#pick(category, event.timeStamp) : null;
    }
    // A button that was reached by Tab is pressed by the space bar, as everywhere.
    if (event.key === " " && document.activeElement?.matches("button:focus-visible, a:focus-visible, summary")) return null;
    const arrows = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    if (event.key in arrows) return this.stage.zoomed ? () => this.stage.pan(...arrows[event.key]) : null;
    const outcast = this.#job.categories.find((category) => !category.trains);
    const keys = {
      z: () => this.#undo(),
      Backspace: () => this.#undo(),
      s: () => this.actions.skip.disabled || this.#skip(),
      h: () => this.actions.hard.disabled || (this.#hard ? this.#leaveHard() : this.#enterHard()),
      r: () => this.actions.report.disabled || this.#report(),
      x: () => outcast && !this.pad.element.inert && this.#pick(outcast, event.timeStamp),
      p: () => (this.#paused ? this.#resume() : this.#pause()),
      " ": () => (this.#paused ? this.#resume() : this.stage.toggleZoom()),
      "+": () => this.stage.zoomBy(1.5),
      "-": () => this.stage.zoomBy(1 / 1.5),
      "?": () => this.#rules(),
    };
    if (event.key === "Enter" && this.#hard?.first && document.activeElement?.tagName !== "BUTTON") return () => this.#answerHard(null);
    return keys[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? null;
  }

  #key_(what) {
    return `${what}:${this.#person}:${this.#name}`;
  }
}

const MARKS = { "end.complete": "🎉", "end.offline": "🚇", "end.paused": "☕", "end.stopped": "🍽️", "end.rest": "🍵", "end.blocked": "📖", "end.elsewhere": "🪟", "end.sign_in": "🔑", pause: "☕" };

function contextName(key) {
  const name = t(`context.${key}`);
  return name === `context.${key}` ? key : name;
}

function plain(value) {
  return Array.isArray(value) ? value.map(plain).join("、") : typeof value === "object" ? JSON.stringify(value) : String(value);
}

function explainCode(code, message) {
  const text = t(`error.${code}`);
  return text === `error.${code}` ? message ?? code : text;
}
