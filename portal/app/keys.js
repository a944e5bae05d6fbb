// What keys mean while labeling. Keys with a modifier belong to the browser; a digit is a category.

/**
 * Return what a key does now, or null when it does nothing of ours.
 *
 * @param {KeyboardEvent} event
 * @param {object} does what each name does: digit(n), undo, skip, hard, report, outcast, pause, zoom, zoomBy(f), pan(x, y), rules, done
 * @param {{zoomed: boolean, waitsForSecond: boolean}} now
 */
export function shortcut(event, does, now) {
  const { key } = event;
  if (/^[1-9]$/.test(key)) return () => does.digit(Number(key));
  // A button that was reached by Tab is pressed by the space bar, as everywhere.
  if (key === " " && document.activeElement?.matches("button:focus-visible, a:focus-visible")) return null;
  if (key in PANS) return now.zoomed ? () => does.pan(...PANS[key]) : null;
  if (key === "Enter") return now.waitsForSecond && document.activeElement?.tagName !== "BUTTON" ? does.done : null;
  const name = NAMES[key.length === 1 ? key.toLowerCase() : key];
  if (name === "in" || name === "out") return () => does.zoomBy(name === "in" ? 1.5 : 1 / 1.5);
  return name ? does[name] : null;
}

const NAMES = { z: "undo", Backspace: "undo", s: "skip", h: "hard", r: "report", x: "outcast", p: "pause", " ": "zoom", "+": "in", "-": "out", "?": "rules" };
const PANS = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
