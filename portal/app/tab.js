// One tab of this device labels a job at a time; another one can take over.

const WAIT = 600; // milliseconds: a page that is just being left lets go in this time

/**
 * Hold a name while this page lives.
 *
 * @param {boolean} steal take it from the tab that has it
 * @param {() => void} onLost called when another tab took it
 * @returns {Promise<(() => void)|null>} how to let go; null when another tab has it
 */
export async function hold(name, steal, onLost) {
  if (!navigator.locks) return () => {};
  return new Promise((resolve) => {
    let held = false;
    navigator.locks
      .request(name, steal ? { steal: true } : { signal: AbortSignal.timeout(WAIT) }, () => {
        held = true;
        return new Promise((letGo) => resolve(letGo));
      })
      .catch(() => (held ? onLost() : resolve(null)));
  });
}
