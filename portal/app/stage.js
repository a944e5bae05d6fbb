// The photo (or text) and what fingers, wheel and keys do to it: swipe, pinch, double tap, pan.

import { h } from "./dom.js";

const ZOOM = 2.5;
const ZOOM_MOST = 8;
const DOUBLE_TAP = 300; // milliseconds
const SLOP = 12; // pixels that a tap may move
const FLICK = 0.5; // pixels a millisecond

/**
 * The stage. Callbacks: `onSwipe(direction)`, `onPreview(direction|null)` while a finger moves, `onZoom(zoomed)`;
 * `allows(direction)` says which swipes mean something.
 */
export class Stage {
  #handlers;
  #layer = null;
  #pointers = new Map();
  #zoom = { scale: 1, x: 0, y: 0 };
  #gesture = null;
  #lastTap = { time: -Infinity, x: 0, y: 0 };

  constructor(handlers) {
    this.#handlers = handlers;
    this.layers = h("div.layers");
    this.preview = h("div.preview", { "aria-hidden": "true", hidden: true });
    this.element = h("div.stage", { id: "stage" }, this.layers, this.preview);
    const on = (name, run, options) => this.layers.addEventListener(name, run, options);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", (event) => this.#cancel(event));
    on("wheel", (event) => this.#wheel(event), { passive: false });
    on("dragstart", (event) => event.preventDefault());
  }

  get zoomed() {
    return this.#zoom.scale > 1;
  }

  /** Put content on the stage; what was there leaves towards `direction` while the new one is there already. */
  show(content, direction = null) {
    const old = this.#layer;
    if (old?.firstChild === content) return;
    this.#zoom = { scale: 1, x: 0, y: 0 };
    this.#gesture = null;
    this.element.classList.remove("zoomed");
    this.#layer = h("div.layer", {}, content);
    if (content.naturalWidth) content.style.setProperty("--ratio", content.naturalWidth / content.naturalHeight);
    this.layers.prepend(this.#layer);
    this.layers.classList.toggle("still", content.tagName !== "IMG");
    if (!old) return;
    if (direction) {
      old.classList.add("leaving", `to-${direction}`);
      old.setAttribute("aria-hidden", "true");
      old.setAttribute("inert", "");
      const gone = () => old.remove();
      old.addEventListener("animationend", gone);
      setTimeout(gone, 400);
    } else {
      old.remove();
    }
  }

  /** Zoom in on a point of the stage (its middle when none is given), or back to the whole photo. */
  toggleZoom(x, y) {
    if (!this.#layer || this.layers.classList.contains("still")) return;
    if (this.zoomed) this.#zoomTo(1, 0, 0);
    else this.#zoomTo(ZOOM, x ?? this.layers.clientWidth / 2, y ?? this.layers.clientHeight / 2);
  }

  /** Zoom by a factor around the middle, for keys. */
  zoomBy(factor) {
    if (!this.#layer || this.layers.classList.contains("still")) return;
    this.#zoomTo(this.#zoom.scale * factor, this.layers.clientWidth / 2, this.layers.clientHeight / 2);
  }

  pan(x, y) {
    this.#zoom.x += x;
    this.#zoom.y += y;
    this.#place();
  }

  #zoomTo(scale, x, y) {
    const was = this.zoomed;
    const next = Math.min(ZOOM_MOST, Math.max(1, scale));
    const share = next / this.#zoom.scale;
    this.#zoom = { scale: next, x: x - (x - this.#zoom.x) * share, y: y - (y - this.#zoom.y) * share };
    this.#place();
    if (was !== this.zoomed) this.#handlers.onZoom(this.zoomed);
  }

  #place() {
    const { clientWidth: width, clientHeight: height } = this.layers;
    const { scale } = this.#zoom;
    this.#zoom.x = Math.min(0, Math.max(width * (1 - scale), this.#zoom.x));
    this.#zoom.y = Math.min(0, Math.max(height * (1 - scale), this.#zoom.y));
    this.#layer.style.transform = scale === 1 ? "" : `translate(${this.#zoom.x}px, ${this.#zoom.y}px) scale(${scale})`;
    this.element.classList.toggle("zoomed", scale > 1);
  }

  #at(event) {
    const box = this.layers.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event) {
    if (!this.#layer || event.button > 0 || event.target.closest("button, a")) return;
    if (this.layers.classList.contains("still") && event.pointerType === "mouse") return; // text can be selected
    try {
      this.layers.setPointerCapture(event.pointerId);
    } catch {
      return; // the finger has left already
    }
    const { x, y } = this.#at(event);
    this.#pointers.set(event.pointerId, { x, y });
    if (this.#pointers.size === 1) {
      this.#gesture = { x, y, time: event.timeStamp, moved: false, type: event.pointerType, pinch: null };
    } else if (this.#pointers.size === 2 && this.#gesture) {
      this.#unswipe();
      this.#gesture.pinch = this.#fingers();
      this.#gesture.moved = true;
    }
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before || !this.#gesture) return;
    const at = this.#at(event);
    this.#pointers.set(event.pointerId, at);
    if (this.#gesture.pinch) {
      if (this.#pointers.size !== 2) return;
      const fingers = this.#fingers();
      const { pinch } = this.#gesture;
      this.#zoom.x += fingers.x - pinch.x;
      this.#zoom.y += fingers.y - pinch.y;
      this.#zoomTo((this.#zoom.scale * fingers.spread) / pinch.spread, fingers.x, fingers.y);
      this.#gesture.pinch = fingers;
      return;
    }
    const x = at.x - this.#gesture.x;
    const y = at.y - this.#gesture.y;
    if (Math.hypot(x, y) > SLOP) this.#gesture.moved = true;
    if (!this.#gesture.moved) return;
    if (this.zoomed) {
      this.pan(at.x - before.x, at.y - before.y);
    } else if (this.#gesture.type !== "mouse") {
      const direction = directionOf(x, y);
      this.#layer.style.transform = `translate(${x}px, ${y}px) rotate(${x / 40}deg)`;
      this.#layer.classList.add("held");
      this.#handlers.onPreview(this.#handlers.allows(direction) ? direction : null, this.#far(x, y));
    }
  }

  #up(event) {
    const gesture = this.#gesture;
    const had = this.#pointers.delete(event.pointerId);
    if (!had || !gesture || this.#pointers.size) return;
    this.#gesture = null;
    const { x, y } = this.#at(event);
    if (!gesture.moved) {
      this.#tap(x, y, event.timeStamp);
    } else if (!gesture.pinch && !this.zoomed && gesture.type !== "mouse") {
      const [dx, dy] = [x - gesture.x, y - gesture.y];
      const speed = Math.hypot(dx, dy) / Math.max(1, event.timeStamp - gesture.time);
      const direction = directionOf(dx, dy);
      const meant = this.#far(dx, dy) || (speed > FLICK && Math.hypot(dx, dy) > 3 * SLOP);
      this.#unswipe();
      if (meant && this.#handlers.allows(direction)) this.#handlers.onSwipe(direction);
    }
  }

  #cancel(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#pointers.size) return;
    this.#gesture = null;
    if (!this.zoomed) this.#unswipe();
  }

  #unswipe() {
    this.#layer.classList.remove("held");
    this.#handlers.onPreview(null, false);
    this.#place();
  }

  #far(x, y) {
    return Math.max(Math.abs(x), Math.abs(y)) > Math.min(96, this.layers.clientWidth * 0.22);
  }

  #tap(x, y, time) {
    const last = this.#lastTap;
    if (time - last.time < DOUBLE_TAP && Math.hypot(x - last.x, y - last.y) < 3 * SLOP) {
      this.#lastTap = { time: -Infinity, x, y };
      this.toggleZoom(x, y);
    } else {
      this.#lastTap = { time, x, y };
    }
  }

  #wheel(event) {
    if (!this.#layer || this.layers.classList.contains("still")) return;
    event.preventDefault();
    const { x, y } = this.#at(event);
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.#zoomTo(this.#zoom.scale * Math.exp(-event.deltaY * lines * 0.002), x, y);
  }

  #fingers() {
    const [one, other] = [...this.#pointers.values()];
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, spread: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)) };
  }
}

function directionOf(x, y) {
  if (Math.abs(x) >= Math.abs(y)) return x < 0 ? "left" : "right";
  return y < 0 ? "up" : "down";
}
