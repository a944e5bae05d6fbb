// People: what each did, how far they agree with the outcome and with known photos, and who gets work.

import { post } from "./api.js";
import { h } from "./dom.js";
import { number, t } from "./i18n.js";
import { share } from "./owner-charts.js";
import { asked, button, confirmed, percent } from "./owner-parts.js";

const LONG_GONE = 3 * 3600; // seconds after which held photos are shown as a thing to look at

export function peopleView(page, body) {
  const draw = () => {
    const { annotators } = page.job;
    body.replaceChildren(annotators.length
      ? h("ul.people", {}, annotators.map((one) => row(page, one)))
      : h("p.soft", {}, t("owner.people.none")));
  };
  draw();
  return { update: (now) => { if (now || !body.contains(document.activeElement)) draw(); } };
}

function row(page, one) {
  const least = page.job.options.gold_min_accuracy;
  const low = one.gold_accuracy !== null && one.gold_accuracy < least;
  const fact = (name, value, ...more) => h("div", {}, h("dt", {}, name), h("dd.number", {}, value, ...more));
  const idle = one.held && one.idle_seconds > LONG_GONE;
  return h("li.card.person", {},
    h("div.between", {}, h("h2.name", {}, one.name),
      one.blocked ? h("span.chip.bad", {}, t("owner.people.blocked")) : idle ? h("span.chip.warn", {}, t("owner.people.gone")) : ""),
    one.blocked && one.blocked_reason ? h("p.small.soft", {}, blockedText(one.blocked_reason)) : "",
    h("dl.person-facts", {},
      fact(t("owner.people.answers"), number(one.answers)),
      fact(t("owner.people.agreement"), percent(one.agreement), one.compared ? h("span.soft.small", {}, ` / ${number(one.compared)}`) : "", one.agreement === null ? "" : share(one.agreement, t("owner.people.agreement.chart", { name: one.name, share: percent(one.agreement) }))),
      fact(t("owner.people.gold"), percent(one.gold_accuracy), one.gold_seen ? h("span.soft.small", {}, ` / ${number(one.gold_seen)}`) : "", low ? h("span.chip.bad", {}, t("owner.people.low")) : ""),
      fact(t("owner.people.seconds"), one.median_seconds === null ? "–" : t("owner.seconds.n", { n: number(one.median_seconds, 1) })),
      fact(t("owner.people.hard"), number(one.hard)),
      fact(t("owner.people.held"), number(one.held)),
      fact(t("owner.people.last"), ago(one.idle_seconds))),
    h("div.row", {}, actions(page, one)));
}

function blockedText(reason) {
  const gold = /^gold: (\d+) of (\d+) right$/.exec(reason);
  if (gold) return t("owner.people.blocked.gold", { right: Number(gold[1]), seen: Number(gold[2]) });
  const worth = /^worth: (\d+)%$/.exec(reason);
  if (worth) return t("owner.people.blocked.worth", { share: percent(Number(worth[1]) / 100) });
  return reason === "owner" ? t("owner.people.blocked.owner") : reason.replace(/^owner: /, "");
}

function ago(seconds) {
  if (seconds === null) return "–";
  const minutes = Math.round(seconds / 60);
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  if (minutes < 60) return words.format(-minutes, "minute");
  if (minutes < 48 * 60) return words.format(-Math.round(minutes / 60), "hour");
  return words.format(-Math.round(minutes / 1440), "day");
}

function actions(page, one) {
  const at = `${page.path}/people/${encodeURIComponent(one.person)}`;
  const found = [];
  if (one.held) {
    found.push(button(t("owner.people.release"), async () => {
      if (await confirmed(t("owner.people.release"), t("owner.people.release.what", { name: one.name, n: one.held }), t("owner.people.release"))) {
        await page.act(() => post(`${page.path}/release`, { person: one.person }), t("owner.people.released"));
      }
    }));
  }
  if (one.blocked) {
    found.push(button(t("owner.people.unblock"), async () => {
      if (await confirmed(t("owner.people.unblock"), t("owner.people.unblock.what", { name: one.name }), t("owner.people.unblock"))) {
        await page.act(() => post(`${at}/unblock`), t("owner.people.unblocked", { name: one.name }));
      }
    }));
  } else {
    found.push(button(t("owner.people.block"), async () => {
      const given = await asked(t("owner.people.block.title", { name: one.name }), [{ name: "reason", label: t("owner.people.block.why") }], t("owner.people.block"), t("owner.people.block.what"));
      if (given) await page.act(() => post(`${at}/block`, given), t("owner.people.did_block", { name: one.name }));
    }, { kind: ".danger" }));
  }
  return found;
}
