// The categories as big targets, and which swipe means which of them.

import { h } from "./dom.js";
import { pick } from "./i18n.js";

/** Return how many columns the pad has on a phone; the first row is what swipes mean, so fingers and eyes agree. */
export function columnsFor(count) {
  return count === 2 || count === 4 ? 2 : 3;
}

/** Return which category (its place in the list) each swipe means. */
export function swipesFor(count) {
  return columnsFor(count) === 2 ? { left: 0, right: 1 } : { left: 0, up: 1, right: 2 };
}

/** The buttons. `onPick(category)` is called for a tap; keys and swipes go through the work itself. */
export class Pad {
  #buttons = [];
  #categories = [];
  #onPick;

  constructor(onPick) {
    this.#onPick = onPick;
    this.element = h("div.pad", { role: "group" });
  }

  /** Draw the categories; a pad that shows the same ones already is left as it is, with the focus in it. */
  show(categories, label) {
    this.element.setAttribute("aria-label", label);
    const same = this.#categories.length === categories.length && this.#buttons.length > 0;
    this.#categories = categories;
    if (!same) {
      this.element.dataset.columns = columnsFor(categories.length);
      this.element.classList.toggle("many", categories.length > 9);
      this.#buttons = categories.map((_, place) => h("button.category", { type: "button", on: { click: (event) => this.#onPick(this.#categories[place], event) } }));
      this.element.replaceChildren(...this.#buttons);
    }
    for (const [place, category] of categories.entries()) {
      const name = pick(category);
      const button = this.#buttons[place];
      button.classList.toggle("apart", !category.trains);
      if (place < 9) button.setAttribute("aria-keyshortcuts", place + 1);
      button.replaceChildren(
        h("span.emoji", { "aria-hidden": "true" }, emojiOf(category)),
        h("span.name", {}, name),
        place < 9 ? h("kbd", { "aria-hidden": "true" }, place + 1) : "",
      );
    }
  }

  /** Mark a category: "aim" while a swipe points at it, "was" for an earlier answer, "hit" for a moment when it was picked. */
  mark(kind, category) {
    for (const [place, button] of this.#buttons.entries()) {
      button.classList.toggle(kind, this.#categories[place].key === category);
      if (kind === "was") button.toggleAttribute("aria-current", this.#categories[place].key === category);
    }
    if (kind === "hit") setTimeout(() => this.#buttons.forEach((button) => button.classList.remove("hit")), 180);
  }

  /** Take one category out of the choice (the first of two), or none. */
  except(category) {
    for (const [place, button] of this.#buttons.entries()) button.disabled = this.#categories[place].key === category;
  }

  focus() {
    this.#buttons.find((button) => !button.disabled)?.focus();
  }
}

/** A category's picture: its emoji, or the first letter of its name. */
export function emojiOf(category) {
  return category.emoji || [...pick(category)][0] || "·";
}
