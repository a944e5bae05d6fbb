// Photos: all of them by category, the known ones, groups of near-duplicates, and those that were turned away.

import { get, post, put, remove } from "./api.js";
import { h, openSheet } from "./dom.js";
import { knows, number, pick, t } from "./i18n.js";
import { button, confirmed, named, percent, picture, reasonText } from "./owner-parts.js";
import { answersTable, photoSide, pickCategory } from "./owner-review.js";
import { emojiOf } from "./pad.js";

const PAGE = 24;

/**
 * Fill a list that grows: `fetchPage(last)` gives {items, next}, and `next` is null when that was all.
 *
 * Where few are wanted of many a page may have none: the next ones are asked for until there is one.
 */
function grow(page, body, list, draw, fetchPage, emptyText) {
  const foot = h("div.row.foot");
  let last = "";
  const more = async () => {
    const before = list.children.length;
    do {
      if (last) foot.replaceChildren(looking(page.job, last));
      const found = await page.read(() => fetchPage(last));
      if (!found) return foot.replaceChildren(button(t("owner.more_items"), more));
      list.append(...found.items.map(draw));
      last = found.next;
    } while (last && list.children.length === before && list.isConnected);
    return foot.replaceChildren(last ? button(t("owner.more_items"), more) : list.children.length ? "" : h("p.soft", {}, emptyText));
  };
  body.append(list, foot);
  more();
}

/** How far a search is; items are numbered by the lines of the job. */
function looking(job, last) {
  return h("p.soft.number", { role: "status" }, t("owner.looking", { share: percent(Number(last) / job.progress.lines) }));
}

function card(page, item, ...more) {
  const { job } = page;
  const state = item.state === "settled" ? named(job, item.category ?? null) : t(`owner.item.${item.state}`);
  const open = h("button.thumb.large", { type: "button", "aria-label": `${t("owner.item", { item: Number(item.item) })}: ${state}`, on: { click: () => look(page, item) } },
    picture(`${page.name}/${item.item}`, item.photo, { text: item.text }));
  return h("li.item-card", {}, open, h("p.between.small", {}, h("span", {}, state), h("span.soft.number", {}, item.settler === "people" ? percent(item.confidence) : "")), ...more);
}

/** An item with all its answers; the known ones can be marked and unmarked here. */
async function look(page, item) {
  const { job } = page;
  let sheet;
  const mark = button(item.gold ? t("owner.gold.unmark") : t("owner.gold.mark"), async () => {
    if (item.gold) {
      await page.act(() => remove(`${page.path}/gold/${item.item}`), t("owner.gold.unmarked"));
    } else {
      const category = await pickCategory(job, t("owner.gold.mark"), t("owner.gold.what"), item.category);
      if (!category) return;
      await page.act(() => put(`${page.path}/gold/${item.item}`, { category }), t("owner.gold.marked"));
    }
    sheet.close();
  });
  const shown = openSheet(t("owner.item", { item: Number(item.item) }), t("close"), h("div.stack", {},
    photoSide(page, item),
    h("div.row", {}, item.gold ? h("span.chip.good", {}, t("owner.gold.is", { category: named(job, item.gold) })) : "", item.reason ? h("span.chip.warn", {}, reasonText(item.reason)) : ""),
    answersTable(job, item), h("div.row.sheet-foot", {}, mark)));
  ({ sheet } = shown);
  await shown.closed;
}

export function itemsView(page, body) {
  const { job } = page;
  let category = "";
  let state = "";
  const place = h("div");
  const option = (value, text) => h("option", { value }, text);
  const byCategory = h("select", { on: { change: () => { category = byCategory.value; draw(); } } }, option("", t("owner.all")), job.categories.map((one) => option(one.key, `${emojiOf(one)} ${pick(one)}`)));
  const byState = h("select", { on: { change: () => { state = byState.value; draw(); } } }, option("", t("owner.all")), ["open", "review", "settled"].map((one) => option(one, t(`owner.item.${one}`))));
  body.append(h("div.row.filters", {}, h("label.field", {}, t("owner.category"), byCategory), h("label.field", {}, t("owner.state"), byState)), place);
  const draw = () => {
    place.replaceChildren();
    const one = (item) => card(page, item, item.gold ? h("span.chip.good", {}, t("owner.gold.short")) : "");
    const chosen = { limit: PAGE, category, state };
    grow(page, place, h("ul.grid"), one, (after) => get(`${page.path}/items?${new URLSearchParams({ ...chosen, after })}`), t("owner.items.none"));
  };
  draw();
}

export function goldView(page, body) {
  const { job } = page;
  const draw = async () => {
    const found = await page.read(() => get(`${page.path}/gold`));
    if (!found) return;
    const told = (item) => {
      const said = item.answers.filter((one) => one.kind === "label");
      return t("owner.gold.right", { right: said.filter((one) => one.category === item.gold).length, all: said.length });
    };
    body.replaceChildren(
      h("div.card.stack", {}, h("h2", {}, t("owner.view.gold")), h("p.soft", {}, t("owner.gold.explain", { share: percent(job.options.gold_share), seen: job.options.gold_min_seen, least: percent(job.options.gold_min_accuracy) })),
        h("div.row", {}, button(t("owner.gold.find"), () => page.open("items")))),
      found.items.length
        ? h("ul.grid", {}, found.items.map((item) => card(page, item, h("p.small.number", {}, told(item)), button(t("owner.gold.unmark"), async () => {
          if (await page.act(() => remove(`${page.path}/gold/${item.item}`), t("owner.gold.unmarked"))) draw();
        }))))
        : h("p.soft.foot", {}, t("owner.gold.none")));
  };
  draw();
}

export function groupsView(page, body) {
  body.append(h("p.soft", {}, t("owner.groups.what")));
  grow(page, body, h("ul.stack"), (group) => groupCard(page, group), async (after) => {
    const { groups, next } = await get(`${page.path}/groups?limit=10&after=${after}`);
    return { items: groups, next };
  }, t("owner.groups.none"));
}

function groupCard(page, group) {
  const chosen = new Set();
  const split = button("", async () => {
    if (!(await confirmed(t("owner.groups.split.title"), t("owner.groups.split.what", { n: chosen.size }), t("owner.groups.split.go")))) return;
    const left = await page.act(() => post(`${page.path}/groups/${group.item}/split`, { lines: [...chosen] }), t("owner.groups.split.done", { n: chosen.size }));
    if (!left) return;
    const rest = left.groups[0];
    if (rest.lines.length > 1) made.replaceWith(groupCard(page, rest));
    else made.remove();
  }, { kind: ".primary" });
  const told = () => {
    split.firstChild?.remove();
    split.prepend(t("owner.groups.split.n", { n: chosen.size }));
    split.hidden = !chosen.size;
  };
  const photo = (line, place) => {
    const shown = picture(`${page.name}/line/${line.line}`, line.photo, { alt: line.source.split("/").at(-1), text: line.source });
    if (!place) return h("li.member", {}, shown, h("span.small.soft", {}, t("owner.groups.shown")));
    const check = h("input", { type: "checkbox", on: { change: () => { if (check.checked) chosen.add(line.line); else chosen.delete(line.line); told(); } } });
    return h("li.member", {}, h("label", {}, shown, h("span.check.small", {}, check, t("owner.groups.differs"))));
  };
  const made = h("li.card.stack", {},
    h("div.between", {}, h("h2", {}, t("owner.alike", { n: group.lines.length })), group.category ? h("span.chip", {}, named(page.job, group.category)) : ""),
    h("ul.members", {}, group.lines.map(photo)), h("div.row", {}, split));
  told();
  return made;
}

/** Why a photo was turned away, in a word or two; the reason itself comes from the log, in English. */
const awayBy = (code) => (knows(`owner.away.${code}`) ? t(`owner.away.${code}`) : code);

export function rejectsView(page, body) {
  const list = h("ul.stack");
  const foot = h("div.row.foot");
  const head = h("div.row");
  body.append(h("p.soft", {}, t("owner.rejects.what")), head, list, foot);
  let start = 0;
  const more = async () => {
    const found = await page.read(() => get(`${page.path}/rejects?limit=50&start=${start}`));
    if (!found) return;
    head.replaceChildren(...Object.entries(found.codes).map(([code, n]) => h("span.chip", {}, `${awayBy(code)}: ${number(n)}`)));
    list.append(...found.rejects.map((one) => h("li.card.reject", {}, h("strong.name", {}, one.source.split("/").at(-1) || one.source), h("span.chip.bad", {}, awayBy(one.code)), h("p", { lang: "en" }, one.reason), h("p.soft.small.name", {}, one.source))));
    start += found.rejects.length;
    foot.replaceChildren(start < found.total ? button(t("owner.more_items"), more) : found.total ? "" : h("p.soft", {}, t("owner.rejects.none")));
  };
  more();
}
