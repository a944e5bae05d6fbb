// Words of the page in Japanese and English; the choice is remembered on this device.

const LANGUAGES = ["ja", "en"];
const KEPT = "menulens.language";
let words = {};
let current = document.documentElement.lang === "ja" ? "ja" : "en";
let bundles = [""];

/** Load the words; `names` are further files, as in "owner" for i18n/owner.ja.json. */
export async function loadWords(...names) {
  bundles = ["", ...names];
  await setLanguage(current, false);
}

export function language() {
  return current;
}

/** Change the language, remember it, and tell listeners of "languagechange" on document. */
export async function setLanguage(next, remember = true) {
  if (!LANGUAGES.includes(next)) throw new Error(`no such language: ${next}; there are ${LANGUAGES.join(", ")}`);
  const parts = await Promise.all(bundles.map(async (name) => {
    const path = `/i18n/${name ? `${name}.` : ""}${next}.json`;
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
    return answer.json();
  }));
  words = Object.assign({}, ...parts);
  current = next;
  document.documentElement.lang = next;
  if (remember) localStorage.setItem(KEPT, next);
  document.dispatchEvent(new CustomEvent("languagechange"));
}

/**
 * Say something: {name} in the words is replaced. When `values.n` is given and the key has forms, as in
 * {"one": "{n} photo", "other": "{n} photos"}, the language's plural rule picks one.
 */
export function t(key, values = {}) {
  let text = words[key] ?? key;
  if (typeof text === "object") text = text[new Intl.PluralRules(current).select(values.n ?? 0)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Whether there are words for a key. */
export function knows(key) {
  return key in words;
}

/** Format a number for the reader. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(current, { maximumFractionDigits: digits }).format(value);
}

/** Take the field in the reader's language: pick(job, "question") is question_ja or question_en; pick(category) its name. */
export function pick(thing, field = "") {
  const other = current === "ja" ? "en" : "ja";
  const name = (tongue) => (field ? `${field}_${tongue}` : tongue);
  return thing[name(current)] || thing[name(other)] || "";
}
