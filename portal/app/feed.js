// The items to show next: leased ahead, their photos fetched and decoded before they are due, and the last answers for undo.

import { ApiError, photo, post, remove, UnreachableError } from "./api.js";
import { SignInNeededError } from "./auth.js";

const AHEAD = 12; // leased beside the shown one: enough for a tunnel
const LEASE_MOST = 10; // the contract's most
const DECODED = 6; // the shown one and the next five
const HISTORY = 12; // steps that can be undone
const FETCHES = 3;
const TOKEN_LIVES = 9 * 60_000; // a photo's path is good for ten minutes; asking with an old one counts as guessing
const REST = 2_000; // after there was nothing more to lease, while some items are left to answer
const LOOK_AGAIN = 3_000;
const LOOK_AGAIN_MOST = 30_000;

/** Events: "change" (the first item or its photo), "state" (job state and counts), "sign-in", "error" (detail: the error). */
export class Feed extends EventTarget {
  #store;
  #outbox;
  #person;
  #job;
  #images = new Map();
  #filling = null;
  #turn = Promise.resolve();
  #rest = 0;
  #fetching = new Set();
  #timer;
  #look = LOOK_AGAIN;
  #open = true;
  next = [];
  done = [];
  state = { state: "open", mine: 0, open: null, total: null, blocked: false };
  /** Whether the server has been asked since the list ran empty. */
  asked = false;

  constructor(store, outbox, person, job) {
    super();
    this.#store = store;
    this.#outbox = outbox;
    this.#person = person;
    this.#job = job;
  }

  get current() {
    return this.next[0] ?? null;
  }

  /** Take up what this device holds already. */
  async load() {
    const found = await this.#store.tasks(this.#person, this.#job);
    this.next = found.filter((task) => task.state === "next");
    this.done = found.filter((task) => task.state === "done");
    this.#fetchPhotos();
  }

  close() {
    this.#open = false;
    clearTimeout(this.#timer);
    for (const { url } of this.#images.values()) URL.revokeObjectURL(url);
    this.#images.clear();
  }

  /** A decoded image of an item, or null while it is not there yet; its `failed` says that there will be none. */
  image(task) {
    return this.#images.get(task.item)?.ready ? this.#images.get(task.item).element : null;
  }

  /** One change of the lists at a time: what is in memory and what is on the device stay the same. */
  #alone(change) {
    const mine = this.#turn.then(change);
    this.#turn = mine.catch(() => {});
    return mine;
  }

  /** Move the first item to the answered ones and queue its answer, in one write; the next item is due then. */
  answer(answer, keep) {
    return this.#alone(() => this.#answer(answer, keep));
  }

  async #answer(answer, keep) {
    const [task, ...rest] = this.next;
    const answered = { ...task, state: "done", order: this.#newest() + 1, answer };
    const before = this.done;
    const old = before.filter((one) => one.item !== task.item);
    const forgotten = old.slice(0, Math.max(0, old.length + 1 - HISTORY));
    const unchanged = task.answer?.id === answer.id;
    this.next = rest;
    this.done = [...old.slice(forgotten.length), answered];
    if (!unchanged) this.#outbox.adding();
    this.#changed(); // the next photo is shown while this answer is written
    try {
      await this.#store.write({
        put: [answered],
        drop: forgotten,
        answer: unchanged ? null : { person: this.#person, job: this.#job, answer },
        keep,
      });
    } catch (error) {
      this.next = [task, ...this.next];
      this.done = before;
      throw error;
    } finally {
      if (!unchanged) this.#outbox.added();
    }
    for (const one of forgotten) this.#release(one.item);
    this.fill();
  }

  /** Bring the last answered item back to the front; returns it, or null when there is none. */
  undo(keep) {
    return this.#alone(() => this.#undo(keep));
  }

  async #undo(keep) {
    const last = this.done.at(-1);
    if (!last) return null;
    const back = { ...last, state: "next", order: (this.next[0]?.order ?? this.#newest()) - 1 };
    await this.#store.write({ put: [back], keep });
    this.done.pop();
    this.next.unshift(back);
    this.#changed();
    return back;
  }

  /** Forget an item whose answer the server did not take. */
  forget(item) {
    return this.#alone(async () => {
      const gone = this.done.filter((task) => task.item === item);
      await this.#store.write({ drop: gone });
      this.done = this.done.filter((task) => task.item !== item);
    });
  }

  /** Give back what was not seen; the shown item stays, since that is the place. Without a network the leases just run out. */
  async handBack() {
    clearTimeout(this.#timer);
    const unseen = this.next.slice(1).filter((task) => !task.answer);
    if (!unseen.length) return;
    try {
      await remove(`${this.#path()}/leases`, { items: unseen.map((task) => task.item) });
    } catch (error) {
      if (error instanceof UnreachableError || error instanceof SignInNeededError) return;
      throw error;
    }
    await this.#alone(async () => {
      await this.#store.write({ drop: unseen });
      for (const task of unseen) this.#release(task.item);
      this.next = this.next.filter((task) => !unseen.includes(task));
    });
  }

  /** Lease until enough is ahead; one request at a time. Looks again by itself when there was nothing. */
  fill() {
    clearTimeout(this.#timer);
    this.#filling ??= this.#lease()
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#filling = null;
      });
    return this.#filling;
  }

  async #lease() {
    const now = Date.now();
    const held = this.next.filter((task, place) => !task.renewing && (place === 0 || task.answer || task.ends > now));
    const missing = AHEAD + 1 - held.length;
    if (missing <= 0 || !this.#open || (held.length && now < this.#rest)) return;
    await this.#outbox.flush(); // else the server would hand out again what was answered already
    const waiting = (await this.#store.unsent(this.#person)).map((one) => one.answer.item);
    const have = [...new Set([...held.map((task) => task.item), ...waiting])];
    const told = await post(`${this.#path()}/leases`, { limit: Math.min(missing, LEASE_MOST), have });
    if (!this.#open) return;
    this.#outbox.reached(true);
    const added = await this.#alone(() => this.#take(told, new Set(waiting)));
    this.dispatchEvent(new CustomEvent("version", { detail: told.version }));
    this.asked = true;
    this.#tell(told);
    if (!told.tasks.length) this.#rest = Date.now() + REST;
    if (added && this.next.length <= AHEAD) this.#again(0);
    else if (!this.next.length) this.#again(this.#look = Math.min(this.#look * 1.5, LOOK_AGAIN_MOST));
    if (this.next.length) this.#look = LOOK_AGAIN;
  }

  /** Take up what was leased, and drop what is no more; returns how many items are new. */
  async #take(told, waiting) {
    const now = Date.now();
    // The device's clock may be hours off: it measures how long a lease lasts, and is not asked what time it is.
    const lease = (task) => ({ task, got: now, ends: now + Date.parse(task.lease_ends) - Date.parse(told.now) });
    const fresh = new Map(told.tasks.filter((task) => !waiting.has(task.item)).map((task) => [task.item, task]));
    const over = ["complete", "stopped"].includes(told.state) || told.blocked;
    const stale = this.next.filter((task, place) => !task.answer && !fresh.has(task.item)
      && (over || task.renewing || (place > 0 && !(task.ends > now))));
    const stay = this.next.filter((task) => !stale.includes(task));
    const renewed = stay.filter((task) => fresh.has(task.item)).map((task) => Object.assign(task, lease(fresh.get(task.item)), { failed: false, renewing: false }));
    const known = new Set(stay.map((task) => task.item));
    let order = this.#newest();
    const added = [...fresh.values()].filter((task) => !known.has(task.item))
      .map((task) => ({ person: this.#person, job: this.#job, item: task.item, order: (order += 1), state: "next", ...lease(task), blob: null, answer: null }));
    await this.#store.write({ put: [...renewed, ...added], drop: stale });
    for (const task of stale) this.#release(task.item);
    const first = this.current;
    this.next = [...stay, ...added];
    this.done = this.done.filter((task) => !added.some((one) => one.item === task.item));
    if (this.current !== first) this.#changed();
    else this.#fetchPhotos();
    return added.length;
  }

  #failed(error) {
    if (!this.#open) return;
    if (error instanceof SignInNeededError) {
      this.dispatchEvent(new CustomEvent("sign-in"));
    } else if (error instanceof UnreachableError) {
      this.#outbox.reached(false);
      this.#again(Math.max(error.wait, this.#look));
      this.dispatchEvent(new CustomEvent("state"));
    } else {
      this.dispatchEvent(new CustomEvent("error", { detail: error }));
    }
  }

  #again(wait) {
    clearTimeout(this.#timer);
    if (this.#open) this.#timer = setTimeout(() => this.fill(), wait);
  }

  /** Take news about the job from any answer of the server. */
  #tell({ state, mine, open, total, blocked }) {
    this.state = { state, mine, open, total, blocked: blocked ?? this.state.blocked };
    this.dispatchEvent(new CustomEvent("state"));
  }

  progress(told) {
    this.#tell(told);
  }

  /** Fetch photos in the order in which they are due, a few at a time; decode the nearest. */
  #fetchPhotos() {
    if (!this.#open) return;
    const near = [...this.next.slice(0, DECODED), ...this.done.slice(-2)];
    for (const task of near) if (task.blob) this.#decode(task);
    for (const item of this.#images.keys()) if (!near.some((task) => task.item === item)) this.#release(item);
    for (const task of this.next) {
      if (this.#fetching.size >= FETCHES) return;
      if (task.task.photo && !task.blob && !task.failed && !task.renewing && !this.#fetching.has(task.item)) this.#fetch(task);
    }
  }

  async #fetch(task) {
    this.#fetching.add(task.item);
    try {
      if (Date.now() - task.got > TOKEN_LIVES) throw new ApiError(403, "bad-token", "this photo's path is too old");
      const blob = await photo(task.task.photo);
      task.blob = blob;
      await this.#alone(() => this.next.includes(task) && this.#store.write({ put: [task] }));
    } catch (error) {
      // The token ran out (403): the server hands out the item again with a new one. Anything else: the photo is at fault.
      if (error instanceof ApiError && error.status === 403 && !task.renewed) {
        task.renewed = task.renewing = true; // held no more: the next lease brings a new path
        this.#again(0);
      } else if (error instanceof ApiError) {
        task.failed = true;
      } else if (error instanceof SignInNeededError) {
        this.dispatchEvent(new CustomEvent("sign-in"));
      } else {
        setTimeout(() => this.#fetchPhotos(), LOOK_AGAIN);
      }
      if (!task.failed) return;
    } finally {
      this.#fetching.delete(task.item);
    }
    if (task.failed && task === this.current) this.#changed();
    this.#fetchPhotos();
  }

  async #decode(task) {
    if (this.#images.has(task.item)) return;
    const element = new Image();
    const held = { element, url: URL.createObjectURL(task.blob), ready: false };
    this.#images.set(task.item, held);
    element.src = held.url;
    try {
      await element.decode();
      held.ready = true;
    } catch {
      task.failed = true;
    }
    if (task.item === this.current?.item) this.dispatchEvent(new CustomEvent("change"));
  }

  #release(item) {
    const held = this.#images.get(item);
    if (held) URL.revokeObjectURL(held.url);
    this.#images.delete(item);
  }

  #newest() {
    return Math.max(0, ...this.next.map((task) => task.order), ...this.done.map((task) => task.order));
  }

  #changed() {
    this.#fetchPhotos();
    this.dispatchEvent(new CustomEvent("change"));
  }

  #path() {
    return `/api/jobs/${encodeURIComponent(this.#job)}`;
  }
}
