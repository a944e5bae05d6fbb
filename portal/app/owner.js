// The owner's page: the list of jobs, and one job with its views. The address says which: ?job=<name>&view=<view>.

import { explain, get, post } from "./api.js";
import { config, finishSignIn, person, signIn, SignInNeededError, signOut } from "./auth.js";
import { glyph, h, keepFocus, toast } from "./dom.js";
import { loadWords, number, pick, t } from "./i18n.js";
import { addPhotos, areComing, coming, tellOfArrivals } from "./owner-adding.js";
import { goldView, groupsView, itemsView, rejectsView } from "./owner-items.js";
import { overview } from "./owner-overview.js";
import { asked, button, confirmed, COUNTED_AGAIN, howFar, percent, stateChip } from "./owner-parts.js";
import { peopleView } from "./owner-people.js";
import { disputesView, reviewView } from "./owner-review.js";
import { menuSheet } from "./sheets.js";

const REFRESH = 15_000; // milliseconds between looks at a job that is in view
const REFRESH_SOON = 3_000; // the same while photos are on their way into it
const DECIDING = ["review", "disputes", "items", "gold", "groups"]; // views in which owners change what a job's result will be
const VIEWS = { overview, review: reviewView, disputes: disputesView, items: itemsView, gold: goldView, people: peopleView, groups: groupsView, rejects: rejectsView };

const root = document.getElementById("root");
const live = document.getElementById("live");
let shown = null; // {job, view, close?}
let timer;

/** What views get: the job, where to call, how to tell, how to have it all drawn anew. */
class Page {
  constructor(job) {
    this.name = job;
    this.path = `/api/owner/jobs/${encodeURIComponent(job)}`;
    this.job = null;
  }

  announce(text) {
    live.replaceChildren(h("p", {}, text));
  }

  /** Do something, tell how it went, and look at the job again. */
  async act(task, said = "") {
    try {
      const answer = await task();
      if (said) {
        toast(said);
        this.announce(said);
      }
      await refresh(true);
      return answer ?? true;
    } catch (error) {
      trouble(error);
      return null;
    }
  }

  /** Ask for something; what goes wrong is told, and the answer is null then. */
  async read(task) {
    try {
      return await task();
    } catch (error) {
      trouble(error);
      return null;
    }
  }

  open(view) {
    go({ job: this.name, view });
  }
}

async function start() {
  await loadWords("owner");
  document.addEventListener("languagechange", () => route());
  addEventListener("popstate", () => route());
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  try {
    await finishSignIn();
  } catch (error) {
    return welcome(explain(error));
  }
  if (!person()) return welcome();
  return route();
}

function address() {
  const given = new URLSearchParams(location.search);
  return { job: given.get("job"), view: given.get("view") ?? "overview" };
}

function go(to) {
  history.pushState(null, "", to.job ? `/owner.html?${new URLSearchParams(to)}` : "/owner.html");
  route();
}

/** Follow a link of ours without loading the page anew. */
function link(to, ...children) {
  const href = to.job ? `/owner.html?${new URLSearchParams(to)}` : "/owner.html";
  return h("a", { href, on: { click: (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  } } }, ...children);
}

async function route() {
  shown?.close?.();
  clearTimeout(timer);
  const { job, view } = address();
  shown = { job, view };
  const mine = shown;
  if (!person()) return welcome();
  try {
    if (!job) {
      const { jobs } = await get("/api/owner/jobs");
      if (mine === shown) listJobs(jobs);
    } else {
      const page = new Page(job);
      page.job = await get(page.path);
      if (mine === shown) showJob(page, VIEWS[view] ? view : "overview");
    }
  } catch (error) {
    if (mine === shown) (error.code === "counting" ? counting : failed)(error);
  }
  return undefined;
}

// --- frame -----------------------------------------------------------------------------------

function frame(title, ...content) {
  document.title = `${title} · menulens`;
  const menu = h("button.button.plain.icon", { type: "button", "aria-label": t("menu"), on: { click: openMenu } }, glyph("menu"));
  const bar = h("header.top", {}, link({}, h("img", { src: "/icons/icon.svg", alt: "", width: 32, height: 32 }), h("span", {}, t("owner.title"))), menu);
  root.replaceChildren(h("a.skip-link", { href: "#content" }, t("owner.skip")), bar, h("main.content", { id: "content", tabindex: "-1" }, ...content));
}

async function openMenu() {
  const { second_factor: factor } = await config().catch(() => ({}));
  menuSheet(() => [
    { label: t("owner.jobs"), glyph: "list", run: () => go({}) },
    { label: t("owner.to_work"), glyph: "photos", href: "/" },
    ...(["optional", "required"].includes(factor) ? [{ label: t("settings.account"), glyph: "lock", href: "/account.html" }] : []),
    { label: t("sign_out"), glyph: "out", run: () => signOut() },
  ]);
}

function welcome(told = "") {
  document.title = "menulens";
  root.replaceChildren(h("main.welcome", {},
    h("img", { src: "/icons/icon.svg", alt: "", width: 72, height: 72 }),
    h("h1", {}, t("owner.title")),
    told ? h("p.note.warn", {}, told) : "",
    h("p.soft", {}, t("owner.sign_in.hint")),
    h("button.button.primary.wide", { type: "button", on: { click: () => signIn() } }, t("sign_in"))));
}

function failed(error) {
  if (error instanceof SignInNeededError) return welcome(explain(error));
  return frame(t("owner.title"), h("div.card.stack", {}, h("h1", {}, t("error.title")), h("p", {}, explain(error)),
    h("div.row", {}, button(t("owner.again"), route, { kind: ".primary" }), link({}, t("owner.jobs")))));
}

/** A large job's figures take several requests: ask again until they are there. */
function counting(error) {
  timer = setTimeout(route, COUNTED_AGAIN);
  frame(t("owner.title"), howFar(error, "h1"));
}

function trouble(error) {
  if (error instanceof SignInNeededError) welcome(explain(error));
  else if (error.code === "changed") {
    toast(t("owner.changed"));
    refresh(true);
  } else toast(explain(error), null, 8);
}

// --- jobs ------------------------------------------------------------------------------------

function listJobs(jobs) {
  const card = (job) => h("li.card.job-card", {},
    h("div.between", {}, h("h2", {}, link({ job: job.job, view: "overview" }, pick(job, "title") || job.job)), stateChip(job.state)),
    pick(job, "title") && pick(job, "title") !== job.job ? h("p.soft.small.name", {}, job.job) : "",
    h("progress.meter", { max: Math.max(1, job.total), value: job.done, "aria-label": t("owner.progress") }),
    h("p.between.small", {},
      h("span.number", {}, t("owner.of", { done: job.done, total: job.total })),
      h("span.soft.number", {}, t("owner.answers.n", { n: job.answers })),
      job.review ? link({ job: job.job, view: "review" }, t("owner.review.n", { n: job.review })) : ""));
  frame(t("owner.jobs"),
    h("div.between.head", {}, h("h1", {}, t("owner.jobs")), button(t("owner.new"), () => newJob(), { kind: ".primary" })),
    jobs.length ? h("ul.job-list", {}, jobs.map(card)) : h("div.card.empty", {}, h("p", {}, t("owner.jobs.none")), h("p.soft", {}, t("owner.jobs.none.what"))));
}

async function newJob(before = {}, problem = "") {
  const given = await asked(t("owner.new"), [
    { name: "photos", label: t("owner.new.photos"), value: before.photos ?? "photos/", required: true, hint: t("owner.new.photos.hint"), maxlength: 1024 },
    { name: "job_name", label: t("owner.new.name"), value: before.job_name, pattern: "[A-Za-z0-9](-?[A-Za-z0-9]){0,62}", hint: t("owner.new.name.hint"), maxlength: 63 },
  ], t("owner.new.go"), "", problem);
  if (!given) return;
  try {
    await post("/api/owner/jobs", { photos: given.photos, ...(given.job_name ? { job_name: given.job_name } : {}) });
    toast(t("owner.new.begun"), { label: t("owner.again"), run: route });
  } catch (error) {
    if (error.code === "place") await newJob(given, explain(error));
    else trouble(error);
  }
}

// --- one job -----------------------------------------------------------------------------------

function showJob(page, view) {
  const { job } = page;
  const head = h("div.job-head");
  const tabs = h("nav.tabs", { "aria-label": t("owner.views") });
  const body = h("div.view");
  frame(pick(job, "title") || job.job, head, tabs, body);
  document.getElementById("content").dataset.view = view;
  const drawFrame = () => {
    keepFocus(head, () => head.replaceChildren(...jobHead(page, view)));
    keepFocus(tabs, () => tabs.replaceChildren(h("ul", {}, Object.keys(VIEWS).map((one) => tab(page, one, view)))));
    tabs.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
  };
  drawFrame();
  const drawn = VIEWS[view](page, body);
  shown = { ...shown, page, drawFrame, update: drawn?.update, close: () => drawn?.close?.() };
  later();
}

function tab(page, one, current) {
  const { job } = page;
  const count = { review: job.progress.review, disputes: job.disagreements, gold: job.gold, groups: job.progress.groups, people: job.annotators.length }[one];
  const made = link({ job: page.name, view: one }, t(`owner.view.${one}`), count ? h("span.badge.number", {}, number(count)) : "");
  if (one === current) made.setAttribute("aria-current", "page");
  return h("li", {}, made);
}

function jobHead(page, view) {
  const { job } = page;
  const { progress } = job;
  const named = pick(job, "title") || job.job;
  return [
    h("div.between", {}, h("div", {}, h("h1", {}, named), h("p.soft.small.name", {}, job.job)), stateChip(job.state)),
    h("div.progress", {},
      h("progress.meter", { max: Math.max(1, progress.total), value: progress.done, "aria-label": t("owner.progress") }),
      h("p.number.small", {}, `${t("owner.of", { done: progress.done, total: progress.total })} (${percent(progress.total ? progress.done / progress.total : 1)})`)),
    ...coming(job),
    hasEnded(job) && DECIDING.includes(view) ? h("p.note", {}, t("owner.ended")) : "",
    h("div.row.verbs", {}, verbs(page)),
  ];
}

const hasEnded = ({ state }) => state === "stopped" || state === "complete";

function verbs(page) {
  const { state } = page.job;
  const move = (verb, kind = "", danger = false) => button(t(`owner.do.${verb}`), async () => {
    if (await confirmed(t(`owner.do.${verb}.title`), t(`owner.do.${verb}.what`), t(`owner.do.${verb}`), { danger })) {
      await page.act(() => post(`${page.path}/${verb}`), t(`owner.did.${verb}`));
    }
  }, { kind });
  const found = [];
  if (state === "open") found.push(move("pause"), move("snapshot"), move("stop", ".danger", true));
  if (state === "paused") found.push(move("resume", ".primary"), move("snapshot"), move("stop", ".danger", true));
  if (hasEnded(page.job)) found.push(move("reopen", ".primary"));
  if (state !== "creating") found.unshift(button(t("owner.add"), () => addPhotos(page)));
  return found;
}

function later() {
  clearTimeout(timer);
  const soon = shown?.page && areComing(shown.page.job);
  timer = setTimeout(() => refresh(), soon ? REFRESH_SOON : REFRESH);
}

/** Look at the job again; what a person is doing in a view stays. */
async function refresh(now = false) {
  const mine = shown;
  if (!mine?.page || (document.hidden && !now)) return;
  try {
    const before = mine.page.job;
    mine.page.job = await get(mine.page.path);
    if (mine !== shown) return;
    tellOfArrivals(mine.page, before);
    if (!document.querySelector("dialog[open]") || now) mine.drawFrame();
    mine.update?.(now);
  } catch (error) {
    if (now) trouble(error);
  } finally {
    if (mine === shown) later();
  }
}

start();
