// What a person chose on this device: theme and keyboard shortcuts.

const THEME = "menulens.theme";
const KEYS = "menulens.keys";

export const THEMES = ["auto", "light", "dark"];

export function theme() {
  return localStorage.getItem(THEME) ?? "auto";
}

export function setTheme(next) {
  localStorage.setItem(THEME, next);
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
}

/** Single keys can be switched off: they get in the way of some screen readers and of voice control. */
export function shortcutsOn() {
  return localStorage.getItem(KEYS) !== "off";
}

export function setShortcuts(on) {
  localStorage.setItem(KEYS, on ? "on" : "off");
}
