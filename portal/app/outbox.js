// Sends queued answers in order. An answer leaves the queue only when the server has said what became of it.

import { ApiError, post, UnreachableError } from "./api.js";
import { alone, SignInNeededError } from "./auth.js";

const BATCH = 50; // the contract's most
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const JUDGES = new Set([404, 409, 413, 422]); // with a code of the contract: the answer itself can't be taken

/**
 * Events: "change" (count or network), "progress" ({job, mine, open, total, state}), "refused" ({job, item, code, message}),
 * "sign-in" (the sign-in has ended).
 */
export class Outbox extends EventTarget {
  #store;
  #person;
  #running = null;
  #wait = FIRST_WAIT;
  #timer;
  #writing = 0;
  count = 0;
  online = true;

  constructor(store, person) {
    super();
    this.#store = store;
    this.#person = person;
    addEventListener("online", () => this.flush());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.flush());
  }

  /** Look at the queue anew and send what is there; resolves when it is empty or the network is away. */
  flush() {
    this.#running ??= this.#send().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** An answer is being written to the queue: from now on it counts as unsent. */
  adding() {
    this.#writing += 1;
    this.count += 1;
    this.#changed();
  }

  /** The answer is in the queue (or could not be written): count anew and send what there is. */
  async added() {
    this.#writing -= 1;
    await this.#recount();
    if (this.#running) await this.#running;
    return this.flush();
  }

  /** Tell the outbox what another request learned about the network. */
  reached(yes) {
    if (this.online === yes) return;
    this.online = yes;
    this.#changed();
    if (yes) this.flush();
  }

  async #send() {
    clearTimeout(this.#timer);
    try {
      await alone(`menulens-send-${this.#person}`, () => this.#sendAll());
      this.#wait = FIRST_WAIT;
    } catch (error) {
      if (error instanceof SignInNeededError) {
        this.dispatchEvent(new CustomEvent("sign-in"));
      } else if (error instanceof UnreachableError) {
        this.online = false;
        this.#timer = setTimeout(() => this.flush(), Math.max(error.wait, this.#wait));
        this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
      } else {
        throw error;
      }
    } finally {
      await this.#recount();
    }
  }

  async #sendAll() {
    for (;;) {
      const waiting = await this.#store.unsent(this.#person, BATCH);
      if (!waiting.length) return;
      const { job } = waiting[0];
      const until = waiting.findIndex((one) => one.job !== job);
      const batch = until < 0 ? waiting : waiting.slice(0, until);
      try {
        await this.#post(job, batch);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (batch.length > 1) await this.#oneByOne(job, batch);
        else await this.#refuse(batch[0], error);
      }
      await this.#recount();
    }
  }

  /** The server refused a whole batch: find the answer that it can't take, so that it does not hold up the others. */
  async #oneByOne(job, batch) {
    for (const one of batch) {
      try {
        await this.#post(job, [one]);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        await this.#refuse(one, error);
      }
    }
  }

  async #post(job, batch) {
    const told = await post(`/api/jobs/${encodeURIComponent(job)}/answers`, { answers: batch.map((one) => one.answer) });
    const results = new Map(told.results.map((result) => [result.id, result]));
    const known = batch.filter((one) => results.has(one.answer.id));
    if (!known.length) throw new UnreachableError("the server did not say what became of the answers");
    for (const one of known) {
      const result = results.get(one.answer.id);
      if (result.status === "rejected") this.#tell(one, result.code, result.message);
    }
    await this.#store.sent(known.map((one) => one.seq));
    this.online = true;
    this.dispatchEvent(new CustomEvent("progress", { detail: { job, ...told } }));
  }

  /** Give up an answer that can't be taken. A refusal of the person, or by who knows what on the way, is none of the answer. */
  async #refuse(one, error) {
    if (!error.code || !JUDGES.has(error.status)) throw new UnreachableError(error.message);
    await this.#store.sent([one.seq]);
    this.#tell(one, error.code, error.message);
  }

  #tell(one, code, message) {
    this.dispatchEvent(new CustomEvent("refused", { detail: { job: one.job, item: one.answer.item, id: one.answer.id, code, message } }));
  }

  async #recount() {
    this.count = this.#writing + (await this.#store.unsentCount(this.#person));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}
