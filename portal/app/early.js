// Runs before the first paint: the chosen theme and language, so that nothing flashes.
(() => {
  const kept = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is switched off: the system's choice holds
    }
  };
  const theme = kept("menulens.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const language = kept("menulens.language") ?? (navigator.language ?? "").slice(0, 2);
  document.documentElement.lang = language === "ja" ? "ja" : "en";
})();
