// The annotator's page: sign-in, the list of jobs, and labeling.

import { explain, get, UnreachableError } from "./api.js";
import { config, finishSignIn, person, signIn, SignInNeededError, signOut } from "./auth.js";
import { glyph, h, openSheet, toast } from "./dom.js";
import { knows, language, loadWords, pick, setLanguage, t } from "./i18n.js";
import { Outbox } from "./outbox.js";
import { choice, menuSheet } from "./sheets.js";
import { Store } from "./store.js";
import { Work } from "./work.js";

const root = document.getElementById("root");
const live = document.getElementById("live");
let store;
let outbox;
let me = null;
let work = null;
let redraw = () => {};
let shellKept = false;

/** Tell screen readers; the same words twice are told twice. */
function announce(text) {
  live.replaceChildren(h("p", {}, text));
}

async function start() {
  await loadWords();
  document.addEventListener("languagechange", () => redraw());
  addEventListener("popstate", () => route());
  try {
    store = await Store.open();
    if (await finishSignIn()) return undefined;
  } catch (error) {
    if (error instanceof SignInNeededError) return welcome(t("sign_in.failed", { reason: error.message }));
    return trouble(error);
  }
  const who = person();
  if (!who) return welcome();
  outbox = new Outbox(store, who.id);
  outbox.addEventListener("sign-in", () => work ?? welcome(t("error.sign_in")));
  outbox.addEventListener("refused", ({ detail }) => refused(detail));
  navigator.storage?.persist?.();
  return route();
}

/** Show what the address asks for: ?job=<name>, else the jobs. */
async function route() {
  work?.close();
  work = null;
  redraw = () => {};
  const job = new URLSearchParams(location.search).get("job");
  if (job) openJob(job);
  await fetchMe(!job);
  if (!job && me) {
    const open = me.jobs.filter((one) => one.state === "open");
    if (open.length === 1 && me.jobs.length === 1 && !history.state?.list) go(open[0].job, true);
    else jobs();
  }
  if (me) outbox.flush();
}

/** An answer was not taken: whatever is open, its giver hears why. */
function refused({ code, message }) {
  toast(t("error.refused", { n: 1, reason: knows(`error.${code}`) ? t(`error.${code}`) : message ?? code }));
}

async function fetchMe(show) {
  const kept = `me:${person()?.id}`;
  try {
    me = await get("/api/me");
    await store.keep(kept, me);
  } catch (error) {
    me = (await store.kept(kept)) ?? null;
    if (error instanceof SignInNeededError) {
      if (!work) welcome(t("error.sign_in"));
    } else if (!me && show) {
      trouble(error);
    }
    if (error instanceof UnreachableError) outbox.reached(false);
  }
}

function go(job, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", `/?job=${encodeURIComponent(job)}`);
  if (replace) openJob(job);
  else route();
}

function openJob(job) {
  work = new Work({
    store,
    outbox,
    person: person().id,
    job,
    app: { announce, openMenu, signInAgain: () => signIn(), leave: toList, firstPhoto },
  });
  root.replaceChildren(work.element);
  work.open();
}

function toList() {
  history.pushState({ list: true }, "", "/");
  route();
}

/** The page is ready for work: now is the time to keep its files for a day without a network. */
async function firstPhoto() {
  if (shellKept || !("serviceWorker" in navigator)) return;
  shellKept = true;
  const { version } = await config();
  if (!version) return;
  const policy = window.trustedTypes?.createPolicy("menulens", {
    createScriptURL: (url) => {
      if (!/^\/sw\.js\?v=[\w.-]+$/.test(url)) throw new TypeError(`not our service worker: ${url}`);
      return url;
    },
  });
  const url = `/sw.js?v=${encodeURIComponent(version)}`;
  await navigator.serviceWorker.register(policy ? policy.createScriptURL(url) : url);
}

async function openMenu() {
  const { second_factor: factor } = await config().catch(() => ({}));
  menuSheet(() => [
    { label: t("settings.jobs"), glyph: "list", run: toList },
    ...(me?.person.owner ? [{ label: t("settings.owner"), glyph: "chart", href: "/owner.html" }] : []),
    ...(["optional", "required"].includes(factor) ? [{ label: t("settings.account"), glyph: "lock", href: "/account.html" }] : []),
    { label: t("sign_out"), glyph: "out", run: leave },
  ]);
}

async function leave() {
  await Promise.race([outbox.flush(), new Promise((resolve) => setTimeout(resolve, 3000))]);
  if (!outbox.count) return signOut();
  const shown = openSheet(t("sign_out"), t("close"), h("div.stack", {}, h("p", {}, t("sign_out.unsent", { n: outbox.count })),
    h("button.button.primary.wide", { type: "button", on: { click: () => signOut() } }, t("sign_out.anyway")),
    h("button.button.wide", { type: "button", on: { click: () => shown.sheet.close() } }, t("cancel"))));
  return shown.closed;
}

// --- screens that are not work ---------------------------------------------------------------------

function page(draw) {
  work?.close();
  work = null;
  redraw = () => {
    root.replaceChildren(draw());
    document.title = `${root.querySelector("h1").textContent} · ${t("app.name")}`;
  };
  redraw();
  root.querySelector("h1").focus({ focusVisible: false });
}

function languageChoice() {
  return choice(t("settings.language"), ["ja", "en"].map((one) => [one, t(`language.${one}`)]), language(), setLanguage);
}

function welcome(problem = null) {
  page(() => h("main.page.welcome", {},
    h("img.logo", { src: "/icons/icon.svg", alt: "", width: 88, height: 88 }),
    h("h1", { tabindex: "-1" }, t("app.name")),
    h("p.lead", {}, t("app.tagline")),
    problem ? h("p.note.warn", { role: "alert" }, problem) : "",
    h("button.button.primary.wide", { type: "button", on: { click: () => signIn().catch(trouble) } }, t(problem ? "sign_in.again" : "sign_in")),
    h("p.soft.small", {}, t("sign_in.hint")),
    languageChoice()));
}

function jobs() {
  page(() => h("main.page", {},
    h("header.page-head", {},
      h("div", {}, h("p.soft.small", {}, t("jobs.hello", { name: person().name })), h("h1", { tabindex: "-1" }, t("jobs.title"))),
      h("button.button.plain.icon", { type: "button", "aria-label": t("menu"), on: { click: openMenu } }, glyph("menu"))),
    me.jobs.length ? h("ul.stack", {}, me.jobs.map(jobCard)) : h("div.empty", {}, h("p.panel-mark", { "aria-hidden": "true" }, "🍵"), h("p", {}, t("jobs.none")))));
}

function jobCard(job) {
  const open = job.state === "open";
  return h("li.card.job", {},
    h("div.job-head", {}, h("h2", {}, pick(job, "title") || job.job), h(`span.chip${open ? ".good" : ""}`, {}, t(`jobs.state.${job.state}`))),
    h("progress.meter", { max: job.total || 1, value: job.total - job.open, "aria-label": t("work.progress", { done: job.total - job.open, total: job.total }) }),
    h("div.job-foot", {},
      h("p.soft.small.number", {}, `${t("jobs.left", { n: job.open })} · ${t("jobs.mine", { n: job.mine })}`),
      h(`button.button${open ? ".primary" : ""}`, { type: "button", on: { click: () => go(job.job) } }, t(job.mine ? "jobs.continue" : "jobs.start"), h("span.visually-hidden", {}, ` ${pick(job, "title") || job.job}`))));
}

function trouble(error) {
  page(() => h("main.page.welcome", {},
    h("p.panel-mark", { "aria-hidden": "true" }, "🫖"),
    h("h1", { tabindex: "-1" }, t("error.title")),
    h("p", { role: "alert" }, error.name === "StorageError" ? t("error.storage") : explain(error)),
    h("button.button.primary", { type: "button", on: { click: () => location.reload() } }, t("error.retry"))));
}

addEventListener("unhandledrejection", ({ reason }) => {
  if (reason?.name === "StorageError") trouble(reason);
});

start();
