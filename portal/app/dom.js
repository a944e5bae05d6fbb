// Elements without markup strings: text is always text, so a name from outside can never become code.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * @param {string} tag as in "button.primary.wide": a tag and its classes
 * @param {object} [properties] attributes; `on` holds listeners, `data` data attributes; false and null leave one out
 * @param {...(Node|string|number|null|false|Array)} children
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (key === "data") {
      Object.assign(element.dataset, value);
    } else {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** Draw a part anew under the hands of who is in it: the button or link of the same place has the focus again. */
export function keepFocus(part, draw) {
  const all = () => [...part.querySelectorAll("a, button, input, summary")];
  const at = all().indexOf(document.activeElement);
  draw();
  if (at >= 0) all()[Math.min(at, all().length - 1)]?.focus({ preventScroll: true });
}

// Outlines on a 24 × 24 grid, one path each.
const GLYPHS = {
  undo: "M9 7 4.5 11.5 9 16M5 11.5h9.5a5 5 0 0 1 0 10H12",
  skip: "M5 5.5v13l9-6.5zM18.5 5.5v13",
  hard: "M9.2 9.2a2.9 2.9 0 1 1 4.3 2.5c-1 .6-1.5 1.1-1.5 2.3M12 17.3v.2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  report: "M6 21V4M6 4.5h11.5l-2.5 4 2.5 4H6",
  pause: "M8.5 5v14M15.5 5v14",
  play: "M7 4.5v15l12-7.5z",
  close: "M6 6l12 12M18 6 6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  rules: "M5 4h11l3 3v13H5zM9 10h6M9 14h6",
  photos: "M4 8h12v12H4zM8 8V4h12v12h-4",
  waiting: "M12 19V6M6.5 11 12 5.5 17.5 11",
  sent: "M5 12.5 10 17.5 19.5 7",
  offline: "M3 3l18 18M8.5 15.5a5 5 0 0 1 6.5-.5M5.2 12.2a9.7 9.7 0 0 1 4.3-2.4M2.5 8.8a14 14 0 0 1 4-2.5M12 19.5v.1M13.5 9.6a9.7 9.7 0 0 1 5.3 2.6M11 5.1a14 14 0 0 1 10.5 3.7",
  language: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3.5 12h17M12 3c-5 5-5 13 0 18M12 3c5 5 5 13 0 18",
  out: "M14 4h5v16h-5M4 12h10M10.5 8l4 4-4 4",
  list: "M9 6h11M9 12h11M9 18h11M4.5 6v.1M4.5 12v.1M4.5 18v.1",
  chart: "M5 20V11M12 20V4M19 20v-6",
  lock: "M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11M12 14.5v2",
  broken: "M4 5h16v6l-4 3-4-3-4 3-4-3zM4 16l4 1.5L12 15l4 2.5 4-1.5v4H4z",
  improper: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM5.7 5.7l12.6 12.6",
};

/** Make one of our outline icons; it is decoration, so the button beside it needs a name of its own. */
export function glyph(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "glyph");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", GLYPHS[name]);
  svg.append(path);
  return svg;
}

/** Show a modal sheet that closes on Escape, on its button and on a tap beside it; resolves with its return value. */
export function openSheet(title, closeLabel, ...content) {
  const heading = h("h2", { id: "sheet-title", tabindex: "-1" }, title);
  const close = h("button.button.plain.icon", { type: "button", "aria-label": closeLabel }, glyph("close"));
  const sheet = h("dialog.sheet", { "aria-labelledby": "sheet-title" }, h("div.sheet-head", {}, heading, close), ...content);
  close.addEventListener("click", () => sheet.close());
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet && !inside(sheet, event)) sheet.close();
  });
  document.body.append(sheet);
  sheet.showModal();
  const closed = new Promise((resolve) => {
    sheet.addEventListener("close", () => {
      sheet.remove();
      resolve(sheet.returnValue);
    });
  });
  return { sheet, closed };
}

function inside(element, event) {
  const box = element.getBoundingClientRect();
  return event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
}

let toastTimer;

/** Say something in passing; `action` is {label, run}. It leaves by itself, with an action later. */
export function toast(text, action = null, seconds = 5) {
  document.querySelector(".toast")?.remove();
  clearTimeout(toastTimer);
  const box = h("div.toast", { role: "status" }, h("span", {}, text));
  if (action) {
    box.append(h("button.button", { type: "button", on: { click: () => { box.remove(); action.run(); } } }, action.label));
  }
  document.body.append(box);
  toastTimer = setTimeout(() => box.remove(), (action ? 3 : 1) * seconds * 1000);
  return box;
}
