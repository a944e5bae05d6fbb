// More photos for a job: asking where they are, how far they are, what became of them.

import { explain, post } from "./api.js";
import { h, toast } from "./dom.js";
import { t } from "./i18n.js";
import { asked, button } from "./owner-parts.js";

const UNDER_WAY = ["waiting", "running"];

/** Whether photos are on their way into a job. */
export const areComing = (job) => job.additions.some((one) => UNDER_WAY.includes(one.state));

/** Ask where the photos are, and have them added; a place that is none is asked for again, with the reason. */
export async function addPhotos(page) {
  const { job } = page;
  const ended = ["stopped", "complete"].includes(job.state);
  const note = [t("owner.add.note"), ended ? t("owner.add.ended") : ""].filter(Boolean).join(" ");
  let place = "photos/";
  let problem = "";
  for (;;) {
    const field = { name: "place", label: t("owner.new.photos"), value: place, required: true, hint: t("owner.add.hint"), maxlength: 1024 };
    const given = await asked(t("owner.add.title"), [field], t("owner.add"), note, problem);
    if (!given) return;
    ({ place } = given);
    try {
      const begun = await post(`${page.path}/photos`, /^s3:.*\.(manifest|jsonl)$/.test(place) ? { manifest: place } : { photos: place });
      job.additions.unshift(begun);
      await page.act(async () => begun, t("owner.add.begun"));
      return;
    } catch (error) {
      if (error.code !== "place") {
        page.read(() => Promise.reject(error));
        return;
      }
      problem = explain(error);
    }
  }
}

/** How far those are that are on their way: for the head of the job. */
export function coming(job) {
  return job.additions.filter((one) => UNDER_WAY.includes(one.state)).map((one) => h("div.note.stack.coming", {},
    h("p.small", {}, one.asked ? t("owner.coming.ready", { ready: one.ready, asked: one.asked, what: short(one.what) }) : t("owner.coming.looking", { what: short(one.what) })),
    h("progress.meter", { max: one.asked || 1, value: one.asked ? one.ready : null, "aria-label": t("owner.coming") })));
}

/** Tell of those that have come in, or failed, since the job was looked at before. */
export function tellOfArrivals(page, before) {
  const waited = new Set(before.additions.filter((one) => UNDER_WAY.includes(one.state)).map((one) => one.id));
  for (const one of page.job.additions.filter((each) => waited.has(each.id) && !UNDER_WAY.includes(each.state))) {
    const told = outcome(one);
    toast(told, away(one) ? { label: t("owner.view.rejects"), run: () => page.open("rejects") } : null, 8);
    page.announce(told);
  }
}

/** What became of those that were added: for the overview. */
export function arrivals(page) {
  const done = page.job.additions.filter((one) => !UNDER_WAY.includes(one.state));
  if (!done.length) return "";
  const row = (one) => h("li.arrival", {},
    h("div", {}, h("p", {}, outcome(one)), h("p.soft.small.name", {}, one.what)),
    h("time.soft.small.number", { datetime: one.at }, new Date(one.at).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" })));
  return h("section.card.stack", {}, h("h2", {}, t("owner.arrivals")), h("ul.arrivals", {}, done.map(row)),
    done.some(away) ? h("div.row", {}, button(t("owner.view.rejects"), () => page.open("rejects"))) : "");
}

const away = (one) => one.rejected + one.unusable;

function outcome(one) {
  if (one.state === "failed") return one.message ? t("owner.arrival.failed", { message: one.message }) : t("owner.arrival.killed");
  const came = one.asked - one.unusable;
  return [
    came ? t("owner.arrival.came", { n: came }) : t("owner.arrival.none"),
    one.had ? t("owner.arrival.had", { n: one.had }) : "",
    away(one) ? t("owner.arrival.away", { n: away(one) }) : "",
    one.left ? t("owner.arrival.left", { n: one.left }) : "",
  ].filter(Boolean).join(t("owner.arrival.and"));
}

/** A place without its bucket: that is the same for all, and long. */
const short = (what) => what.replace(/^s3:\/\/[^/]+\//, "");
