// The page for one's own sign-in: an authenticator app's codes, set up or ended.

import { ApiError, explain, withToken } from "./api.js";
import { accountToken, config, confirmAccount, endAccount, finishSignIn, person, signIn, SignInNeededError } from "./auth.js";
import { glyph, h } from "./dom.js";
import { loadWords, t } from "./i18n.js";

const PLACE = "/api/account/second-factor";
const SVG = "http://www.w3.org/2000/svg";

const root = document.getElementById("root");
const live = document.getElementById("live");

const call = (method, body) => withToken(accountToken(), method, PLACE, body);

async function start() {
  await loadWords("account");
  try {
    await finishSignIn();
  } catch (error) {
    return show(t("account.title"), h("p.note.warn", {}, explain(error)), button(t("sign_in"), () => signIn(), ".primary"));
  }
  if (!person()) return show(t("account.title"), h("p", {}, t("account.sign_in")), button(t("sign_in"), () => signIn(), ".primary"));
  if (!accountToken()) return ask();
  return attempt(async () => overview((await call("GET")).on));
}

/** Draw the page; its heading has the focus, so that a reader begins there. */
function show(title, ...content) {
  document.title = `${title} · menulens`;
  const heading = h("h2", { tabindex: "-1" }, title);
  root.replaceChildren(h("main.account", {},
    h("header", {}, h("a.button.plain.icon", { href: "/", "aria-label": t("account.back") }, glyph("list")), h("h1", {}, t("account.page"))),
    h("section.card.stack", {}, heading, ...content)));
  heading.focus({ preventScroll: true });
}

function button(label, run, kind = "") {
  return h(`button.button.wide${kind}`, { type: "button", on: { click: run } }, label);
}

/** Do something; a token that may not is asked for anew, and what else goes wrong is told. */
async function attempt(task) {
  try {
    return await task();
  } catch (error) {
    if (error instanceof SignInNeededError || (error instanceof ApiError && error.code === "confirm-first")) {
      await endAccount();
      return ask();
    }
    return show(t("error.title"), h("p.note.warn", {}, said(error)), button(t("account.again"), () => location.reload(), ".primary"));
  }
}

function said(error) {
  return error instanceof ApiError && error.code === "no-second-factor" ? t("account.none") : explain(error);
}

/** Whoever finds a phone unlocked must not change how its owner signs in: the hosted sign-in asks first. */
function ask() {
  show(t("account.title"), h("p", {}, t("account.what")), h("p.soft", {}, t("account.confirm.why")), button(t("account.confirm"), () => confirmAccount(), ".primary"));
}

async function overview(on) {
  if (!on) return show(t("account.is_off"), h("p", {}, t("account.what")), button(t("account.set_up"), () => attempt(setUp), ".primary"));
  const { second_factor: factor } = await config();
  return show(t("account.is_on"), h("p", {}, t("account.is_on.what")),
    button(t("account.new_phone"), () => attempt(setUp)),
    factor === "required" ? h("p.soft", {}, t("account.required")) : button(t("account.turn_off"), sure, ".danger"));
}

async function setUp() {
  const { secret, address, squares } = await call("POST");
  const code = h("input.code", { id: "code", inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9 ]*", maxlength: 7, required: true, "aria-describedby": "wrong" });
  const wrong = h("p.note.warn", { id: "wrong", role: "alert", hidden: true });
  const send = async (event) => {
    event.preventDefault();
    const digits = code.value.replace(/\s/g, "");
    wrong.hidden = true;
    try {
      if (!/^\d{6}$/.test(digits)) throw new ApiError(422, "wrong-code", t("account.wrong"));
      await call("PUT", { code: digits });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === "wrong-code")) return attempt(() => { throw error; });
      wrong.textContent = t("account.wrong");
      wrong.hidden = false;
      code.select();
      return undefined;
    }
    return done("on");
  };
  show(t("account.set_up"), h("ol", {},
    h("li", {}, h("div", {}, t("account.step.app"))),
    h("li", {}, h("div.stack", {},
      h("p", {}, t("account.step.scan")),
      qr(squares),
      h("a.button", { href: address }, t("account.step.here")),
      h("details", {}, h("summary", {}, t("account.step.type")), h("code.secret", {}, secret.match(/.{1,4}/g).join(" "))))),
    h("li", {}, h("form.stack", { novalidate: true, on: { submit: send } },
      h("label.field", {}, t("account.step.code"), code),
      wrong,
      h("button.button.primary.wide", { type: "submit" }, t("account.turn_on"))))));
}

/** Draw a QR code, row by row; "1" is dark. */
function qr(squares) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: `0 0 ${squares.length} ${squares.length}`, class: "qr", role: "img", "aria-label": t("account.qr"), "shape-rendering": "crispEdges" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("fill", "currentColor");
  path.setAttribute("d", squares.flatMap((row, y) => [...row.matchAll(/1+/g)].map((run) => `M${run.index} ${y}h${run[0].length}v1h-${run[0].length}z`)).join(""));
  svg.append(path);
  return svg;
}

function sure() {
  show(t("account.sure"), h("p", {}, t("account.sure.what")),
    button(t("account.turn_off"), () => attempt(async () => {
      await call("DELETE");
      return done("off");
    }), ".danger"),
    button(t("account.keep"), () => attempt(async () => overview(true))));
}

/** Say what holds now; the permission to change it is given back. */
async function done(what) {
  await endAccount();
  show(t(`account.done.${what}`), h("p", {}, t(`account.done.${what}.what`)), h("a.button.primary.wide", { href: "/" }, t("account.back")));
  live.replaceChildren(h("p", {}, t(`account.done.${what}`)));
}

start();
