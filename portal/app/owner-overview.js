// How a job is going: progress, pace, agreement, categories with examples.

import { get, patch, post } from "./api.js";
import { h, openSheet } from "./dom.js";
import { number, pick, t } from "./i18n.js";
import { arrivals } from "./owner-adding.js";
import { bars, gauge, share } from "./owner-charts.js";
import { asked, button, duration, named, percent, picture } from "./owner-parts.js";
import { emojiOf } from "./pad.js";

// Krippendorff (2004) on conclusions: alpha from .800 on is reliable, from .667 on tentative.
const ZONES = [[-0.1, "zone-bad"], [0.667, "zone-warn"], [0.8, "zone-good"]];

export function overview(page, body) {
  const draw = () => {
    const open = body.querySelector("details")?.open ?? false;
    body.replaceChildren(tiles(page), arrivals(page), categories(page), confusions(page), settings(page, open));
  };
  draw();
  return { update: (now) => { if (now || !body.contains(document.activeElement)) draw(); } };
}

function tile(label, value, ...more) {
  return h("section.card.tile", {}, h("h2", {}, label), h("p.figure.number", {}, value), ...more);
}

function tiles(page) {
  const { progress, agreement, disagreements } = page.job;
  const pace = Math.round(progress.answers_per_hour);
  const latest = progress.hours.at(-1);
  return h("div.tiles", {},
    tile(t("owner.pace"), number(pace), h("p.soft.small", {}, t("owner.pace.unit")),
      bars(progress.hours, t("owner.pace.chart", { now: latest, most: Math.max(...progress.hours) })), h("p.soft.small.ends", {}, h("span", {}, t("owner.pace.from")), h("span", {}, t("owner.pace.to")))),
    tile(t("owner.time_left"), progress.open ? duration(progress.seconds_left) : t("owner.time.none"),
      h("p.soft.small", {}, t("owner.left", { items: progress.open, answers: Math.round(progress.answers_left) })),
      progress.answers_per_item === null ? "" : h("p.soft.small", {}, t("owner.per_item", { n: number(progress.answers_per_item, 2) }))),
    alphaTile(agreement),
    tile(t("owner.to_decide"), number(progress.review),
      h("p.row", {}, progress.review ? button(t("owner.view.review"), () => page.open("review"), { kind: ".primary" }) : h("span.soft.small", {}, t("owner.review.none"))),
      h("p.soft.small", {}, t("owner.disputes.n", { n: disagreements }))));
}

function alphaTile({ alpha, low, high, items }) {
  if (alpha === null) return tile(t("owner.agreement"), "–", h("p.soft.small", {}, t("owner.agreement.none")));
  const span = low === null ? "" : t("owner.agreement.ci", { low: low.toFixed(2), high: high.toFixed(2) });
  // Few items say little: what might as well be unclear is not called reliable.
  const verdict = alpha >= 0.8 && (low ?? 1) >= 0.667 ? "good" : alpha >= 0.667 ? "fair" : "poor";
  return tile(t("owner.agreement"), alpha.toFixed(2),
    gauge(alpha, low, high, ZONES, t("owner.agreement.chart", { alpha: alpha.toFixed(2), ci: span })),
    h("p.small", {}, t(`owner.agreement.${verdict}`)),
    h("p.soft.small", {}, [span, t("owner.agreement.items", { n: items })].filter(Boolean).join(" · ")));
}

function categories(page) {
  const { job } = page;
  const most = Math.max(1, ...job.counts.map((one) => one.items));
  const row = (count) => {
    const category = job.categories.find((one) => one.key === count.category);
    const shown = count.examples.map((one) => h("li", {}, h("button.thumb", {
      type: "button", "aria-label": t("owner.example", { category: pick(category), share: percent(one.confidence) }),
      on: { click: () => look(page, one) },
    }, picture(`${page.name}/${one.item}`, one.photo, { text: one.text }))));
    return h("li.category", {},
      h("div.category-name", {}, h("span.emoji", { "aria-hidden": "true" }, emojiOf(category)),
        h("div", {}, h("strong", {}, pick(category)), h("p.soft.small.name", {}, category.key, category.trains ? "" : ` · ${t("owner.not_training")}`))),
      h("div.category-count", {}, h("span.number", {}, number(count.items)), share(count.items / most, t("owner.category.chart", { category: pick(category), n: count.items }))),
      shown.length ? h("ul.thumbs", {}, shown) : h("p.soft.small.thumbs", {}, t("owner.examples.none")),
      h("button.button.plain.small-button", { type: "button", "aria-label": t("owner.category.edit", { category: pick(category) }), on: { click: () => edit(page, category) } }, t("owner.edit")));
  };
  return h("section.card", {},
    h("div.between", {}, h("h2", {}, t("owner.categories")), button(t("owner.category.add"), () => add(page))),
    h("ul.categories", {}, job.counts.map(row)));
}

async function look(page, example) {
  const { closed } = openSheet(t("owner.item", { item: Number(example.item) }), t("close"),
    h("div.look", {}, picture(`${page.name}/${example.item}`, example.photo, { text: example.text, eager: true })),
    example.confidence === null ? "" : h("p.soft", {}, t("owner.confidence", { share: percent(example.confidence, 1) })));
  await closed;
}

const words = (category = {}) => [
  { name: "ja", label: t("owner.category.ja"), value: category.ja, required: true, maxlength: 128, lang: "ja" },
  { name: "en", label: t("owner.category.en"), value: category.en, required: true, maxlength: 128, lang: "en" },
  { name: "emoji", label: t("owner.category.emoji"), value: category.emoji, maxlength: 16 },
  { name: "hint_ja", label: t("owner.category.hint_ja"), value: category.hint_ja, lang: "ja" },
  { name: "hint_en", label: t("owner.category.hint_en"), value: category.hint_en, lang: "en" },
  { name: "trains", label: t("owner.category.trains"), value: category.trains ?? true, kind: "checkbox" },
];

async function add(page) {
  const key = { name: "key", label: t("owner.category.key"), required: true, pattern: "[a-z][a-z0-9_\\-]{0,62}", hint: t("owner.category.key.hint"), maxlength: 63 };
  const given = await asked(t("owner.category.add"), [key, ...words()], t("owner.category.add"), t("owner.category.add.note"));
  if (given) await page.act(() => post(`${page.path}/categories`, given), t("owner.category.added", { category: given.ja }));
}

async function edit(page, category) {
  const given = await asked(t("owner.category.edit", { category: pick(category) }), words(category), t("owner.save"), t("owner.category.edit.note"));
  if (given) await page.act(() => patch(`${page.path}/categories/${category.key}`, given), t("owner.saved"));
}

function confusions(page) {
  const { job } = page;
  if (!job.confusions.length) return "";
  const most = job.confusions[0].items;
  const row = ({ one, other, items }) => h("li.confusion", {},
    h("span", {}, `${named(job, one)} ↔ ${named(job, other)}`), h("span.number", {}, number(items)),
    share(items / most, t("owner.confusion.chart", { one: named(job, one), other: named(job, other), n: items })));
  return h("section.card.stack", {}, h("h2", {}, t("owner.confusions")), h("p.soft.small", {}, t("owner.confusions.what")),
    h("ul.stack", {}, job.confusions.slice(0, 8).map(row)),
    h("div.row", {}, button(t("owner.view.disputes"), () => page.open("disputes"))));
}

function settings(page, open) {
  const { job } = page;
  const { options } = job;
  const result = h("div", { role: "status" });
  const facts = [
    [t("owner.option.confidence"), percent(options.confidence, 1)],
    [t("owner.option.answers"), options.min_answers === options.max_answers ? number(options.max_answers) : `${options.min_answers}–${options.max_answers}`],
    [t("owner.option.gold"), t("owner.option.gold.what", { share: percent(options.gold_share), least: percent(options.gold_min_accuracy), seen: options.gold_min_seen })],
    [t("owner.option.worth"), t(options.least_worth ? "owner.option.worth.what" : "owner.option.worth.all", { least: percent(options.least_worth) })],
    [t("owner.option.lines"), number(job.progress.lines)],
    ...Object.entries(job.progress.settlers).map(([who, n]) => [t(`owner.settler.${who}`), number(n)]),
  ];
  const check = button(t("owner.log.check"), async () => {
    const found = await page.read(() => get(`${page.path}/log/verify`).catch((error) => {
      if (error.code === "log-too-long") return error;
      throw error;
    }));
    if (!found) return;
    if (found.code) result.replaceChildren(h("p.note.warn", {}, t("owner.log.too-long"), " ", h("code", {}, `menulens label verify ${page.name}`)));
    else result.replaceChildren(found.intact
      ? h("p.note", {}, t("owner.log.intact", { lines: found.lines, segments: found.segments }))
      : h("div.note.bad", {}, h("strong", {}, t("owner.log.broken", { n: found.findings.length })), h("ul", {}, found.findings.slice(0, 20).map((one) => h("li", {}, `${t(`owner.log.${one.problem}`)}: ${one.message}`)))));
  });
  const details = h("details.card", {}, h("summary", {}, h("h2", {}, t("owner.more"))),
    h("dl.facts", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd.number", {}, value)))),
    h("div.row", {}, check), result);
  details.open = open;
  return details;
}
