// What must outlive a reload, a lock screen and a dead battery: unsent answers, leased photos, the place in the job.

const NAME = "menulens";
const VERSION = 1;

/** The device keeps nothing (private mode of an old browser, no space): no answer would be safe. */
export class StorageError extends Error {
  constructor(cause) {
    super("this browser keeps no data", { cause });
    this.name = "StorageError";
  }
}

/** One IndexedDB database: `outbox` (answers in order), `tasks` (leased and lately answered items), `kept` (small values). */
export class Store {
  #database;

  constructor(database) {
    this.#database = database;
  }

  static async open() {
    try {
      const opening = indexedDB.open(NAME, VERSION);
      opening.addEventListener("upgradeneeded", () => {
        const database = opening.result;
        database.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true }).createIndex("person", "person");
        database.createObjectStore("tasks", { keyPath: ["person", "job", "item"] }).createIndex("job", ["person", "job"]);
        database.createObjectStore("kept");
      });
      return new Store(await settled(opening));
    } catch (error) {
      throw new StorageError(error);
    }
  }

  /** Everything known of a job: leased items and the last answered ones, in order. */
  async tasks(person, job) {
    const found = await settled(this.#read("tasks").index("job").getAll([person, job]));
    return found.sort((one, other) => one.order - other.order);
  }

  /** Write tasks, drop tasks, queue an answer and keep values: all of it, or nothing. */
  async write({ put = [], drop = [], answer = null, keep = {} }) {
    let change = null;
    let over = false;
    try {
      change = this.#database.transaction(["outbox", "tasks", "kept"], "readwrite", { durability: "strict" });
      const done = new Promise((resolve, reject) => {
        change.addEventListener("complete", resolve);
        change.addEventListener("abort", () => {
          over = true;
          reject(change.error);
        });
      });
      done.catch(() => {}); // told below, by the await or by what was refused at once
      for (const task of put) change.objectStore("tasks").put(task);
      for (const task of drop) change.objectStore("tasks").delete([task.person, task.job, task.item]);
      if (answer) change.objectStore("outbox").add(answer);
      for (const [key, value] of Object.entries(keep)) change.objectStore("kept").put(value, key);
      await done;
    } catch (error) {
      // What was refused at once has not ended the change: without this, the rest of it would be kept.
      if (change && !over) change.abort();
      throw new StorageError(error);
    }
  }

  kept(key) {
    return settled(this.#read("kept").get(key));
  }

  keep(key, value) {
    return this.write({ keep: { [key]: value } });
  }

  /** The oldest unsent answers of a person, in the order in which they were given. */
  unsent(person, limit) {
    return settled(this.#read("outbox").index("person").getAll(person, limit));
  }

  unsentCount(person) {
    return settled(this.#read("outbox").index("person").count(person));
  }

  /** Forget answers that the server has. */
  async sent(seqs) {
    const change = this.#database.transaction("outbox", "readwrite");
    const done = new Promise((resolve, reject) => {
      change.addEventListener("complete", resolve);
      change.addEventListener("abort", () => reject(new StorageError(change.error)));
    });
    for (const seq of seqs) change.objectStore("outbox").delete(seq);
    await done;
  }

  #read(name) {
    return this.#database.transaction(name).objectStore(name);
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}
