// Small charts as SVG: each has words of its own for who can't see it.

const SVG = "http://www.w3.org/2000/svg";

function s(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function chart(width, height, label, ...children) {
  return s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label, preserveAspectRatio: "none" }, ...children);
}

/** Bars, one an hour, the newest at the right. */
export function bars(values, label) {
  const [width, height, gap] = [240, 48, 2];
  const most = Math.max(1, ...values);
  const each = width / values.length;
  return chart(width, height, label, ...values.map((value, place) => {
    const tall = value ? Math.max(3, (value / most) * (height - 2)) : 1;
    return s("rect", { x: place * each + gap / 2, y: height - tall, width: each - gap, height: tall, rx: 1.5, class: value ? "bar-full" : "bar-none" });
  }));
}

/**
 * A value between two ends with its interval: from "chance" to "always".
 *
 * @param {number} value the point
 * @param {number|null} low the interval's ends; null where there is none
 * @param {[number, string][]} zones from where on a zone goes, and its class
 */
export function gauge(value, low, high, zones, label) {
  const [width, height, from] = [240, 28, -0.1];
  const x = (at) => ((Math.min(1, Math.max(from, at)) - from) / (1 - from)) * width;
  const parts = zones.map(([start, tone], place) => {
    const end = zones[place + 1]?.[0] ?? 1;
    return s("rect", { x: x(start), y: 10, width: x(end) - x(start), height: 8, class: `zone ${tone}` });
  });
  if (low !== null && high !== null) {
    parts.push(s("line", { x1: x(low), x2: x(high), y1: 14, y2: 14, class: "interval" }));
    for (const end of [low, high]) parts.push(s("line", { x1: x(end), x2: x(end), y1: 7, y2: 21, class: "interval" }));
  }
  parts.push(s("circle", { cx: x(value), cy: 14, r: 6, class: "point" }));
  const drawn = chart(width, height, label, ...parts);
  drawn.setAttribute("preserveAspectRatio", "xMidYMid meet");
  return drawn;
}

/** A horizontal bar of a share. */
export function share(value, label) {
  const drawn = chart(100, 6, label, s("rect", { width: 100, height: 6, class: "bar-none" }), s("rect", { width: Math.max(value > 0 ? 1 : 0, 100 * value), height: 6, class: "bar-full" }));
  drawn.classList.add("share");
  return drawn;
}
