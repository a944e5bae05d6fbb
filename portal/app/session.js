// One sitting at a job: how many answers, how fast; a long break begins a new one.

const BREAK = 60_000; // a gap longer than this is no working time
const NEW_SITTING = 2 * 3_600_000;

export class Session {
  constructor(kept, now = Date.now()) {
    const fresh = !kept || now - kept.last > NEW_SITTING;
    Object.assign(this, fresh ? { count: 0, active: 0, last: now } : kept);
  }

  /** Count an answer (or take one back with -1). */
  counted(step, now = Date.now()) {
    this.active += Math.min(now - this.last, BREAK);
    this.last = now;
    this.count = Math.max(0, this.count + step);
  }

  /** The clock stood still: a pause is no working time. */
  resumed(now = Date.now()) {
    this.last = now;
  }

  /** Answers a minute of working time. */
  get pace() {
    return this.active > 10_000 && this.count ? (this.count * 60_000) / this.active : null;
  }

  toKeep() {
    return { count: this.count, active: this.active, last: this.last };
  }
}
