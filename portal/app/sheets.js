// The sheets: rules with examples, report, menu.

import { setShortcuts, setTheme, shortcutsOn, theme, THEMES } from "./choices.js";
import { glyph, h, openSheet } from "./dom.js";
import { language, pick, setLanguage, t } from "./i18n.js";
import { emojiOf } from "./pad.js";

/** Ask what is wrong with a photo; resolves with "broken", "improper", or "" when the person changed their mind. */
export function reportSheet() {
  const choice = (problem) => h("button.button.wide.big", { type: "button", on: { click: () => shown.sheet.close(problem) } },
    glyph(problem), h("span", {}, h("strong", {}, t(`report.${problem}`)), h("span.soft.small", {}, t(`report.${problem}.hint`))));
  const shown = openSheet(t("report.title"), t("close"), h("div.stack", {}, choice("broken"), choice("improper"), h("p.soft.small", {}, t("report.note"))));
  shown.sheet.querySelector(".big").focus({ focusVisible: false });
  return shown.closed;
}

/** Show the question, the rules, and each category with its hint and example. `exampleOf` fetches an example photo and gives its address. */
export function rulesSheet(job, swipes, exampleOf) {
  const category = (one) => {
    const picture = h("span.example", { "aria-hidden": "true" }, emojiOf(one));
    if (one.example) showExample(picture, one, exampleOf);
    return h("li.rule", {}, picture, h("span", {}, h("strong", {}, `${emojiOf(one)} ${pick(one)}`), h("span.soft", {}, pick(one, "hint")), one.trains ? "" : h("span.chip", {}, t("rules.not_training"))));
  };
  const moves = [
    ...Object.entries(swipes).map(([direction, place]) => [t(`rules.swipe.${direction}`), `${emojiOf(job.categories[place])} ${pick(job.categories[place])}`]),
    [t("rules.swipe.down"), t("work.skip")],
    [t("rules.zoom"), t("rules.zoom.how")],
  ];
  const keys = [
    [t("rules.key.digits"), t("rules.key.digits.what")], ["z", t("work.undo")], ["s", t("work.skip")], ["h", t("work.hard")], ["r", t("work.report")],
    [t("rules.key.space"), t("rules.zoom")], ["p", t("work.pause")], ["?", t("work.rules")],
  ];
  const outcast = job.categories.find((one) => !one.trains);
  if (outcast) keys.splice(1, 0, ["x", pick(outcast)]);
  return openSheet(
    pick(job, "question"),
    t("close"),
    h("div.stack.rules-sheet", { tabindex: "0", role: "region", "aria-label": t("rules.title") },
      pick(job, "rules") ? h("p.rules-text", {}, pick(job, "rules")) : "",
      h("h3", {}, t("rules.categories")),
      h("ul.stack", {}, job.categories.map(category)),
      h("h3", {}, t("rules.moves")),
      h("dl.pairs", {}, moves.map(([how, what]) => h("div", {}, h("dt", {}, how), h("dd", {}, what)))),
      h("div.keys", {}, h("h3", {}, t("rules.keys")), h("dl.pairs", {}, keys.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)))))),
  ).closed;
}

async function showExample(place, category, exampleOf) {
  try {
    const image = h("img", { src: await exampleOf(category), alt: t("rules.example", { name: pick(category) }) });
    place.removeAttribute("aria-hidden");
    place.replaceChildren(image);
  } catch {
    // Without a network the emoji stays in its place; the next look tries again.
  }
}

/** The menu: language, appearance, keys, and ways out. `doors` are {label, glyph, run} or {label, glyph, href}. */
export function menuSheet(doors) {
  const content = h("div.stack.menu-sheet");
  const shown = openSheet(t("menu"), t("close"), content);
  const draw = () => {
    shown.sheet.querySelector("h2").textContent = t("menu");
    content.replaceChildren(
      choice(t("settings.language"), ["ja", "en"].map((one) => [one, t(`language.${one}`)]), language(), async (one) => {
        await setLanguage(one);
        draw();
        content.querySelector('[aria-pressed="true"]').focus();
      }),
      choice(t("settings.theme"), THEMES.map((one) => [one, t(`settings.theme.${one}`)]), theme(), setTheme),
      choice(t("settings.keys"), ["on", "off"].map((one) => [one, t(`settings.${one}`)]), shortcutsOn() ? "on" : "off", (one) => setShortcuts(one === "on")),
      h("div.doors", {}, doors().map((door) => (door.href
        ? h("a.button.plain.wide.door", { href: door.href }, glyph(door.glyph), door.label)
        : h("button.button.plain.wide.door", { type: "button", on: { click: () => { shown.sheet.close(); door.run(); } } }, glyph(door.glyph), door.label)))),
    );
  };
  draw();
  return shown.closed;
}

/** A row of buttons of which one is pressed. */
export function choice(label, options, chosen, onChoose) {
  const buttons = options.map(([value, name]) => h("button", {
    type: "button",
    "aria-pressed": value === chosen ? "true" : "false",
    lang: value === "ja" || value === "en" ? value : null,
    on: {
      click: (event) => {
        for (const one of buttons) one.setAttribute("aria-pressed", one === event.currentTarget ? "true" : "false");
        onChoose(value);
      },
    },
  }, name));
  return h("div.setting", { role: "group", "aria-label": label }, h("span", {}, label), h("div.choice", {}, buttons));
}
