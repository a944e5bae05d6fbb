// Keeps the labeling page's files, so that it opens without a network. One version is kept whole: files of two are never
// mixed. Other pages take all of theirs from the network, the ones that they share with this page too.

const VERSION = new URL(self.location).searchParams.get("v");
const CACHE = `menulens-${VERSION}`;
const SHELL = [
  "/", "/app/api.js", "/app/auth.js", "/app/base.css", "/app/choices.js", "/app/dom.js", "/app/early.js", "/app/feed.js", "/app/i18n.js", "/app/keys.js", "/app/main.js",
  "/app/outbox.js", "/app/pad.js", "/app/page.css", "/app/session.js", "/app/sheets.js", "/app/stage.js", "/app/store.js", "/app/tab.js", "/app/view.js", "/app/work.js",
  "/i18n/en.json", "/i18n/ja.json", "/icons/icon.svg", "/icons/icon-192.png", "/manifest.webmanifest", "/config.json",
];

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(SHELL.map((path) => new Request(path, { cache: "no-cache" })));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("menulens-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  const path = request.mode === "navigate" && url.pathname === "/" ? "/" : url.pathname;
  if (!SHELL.includes(path) || (path === "/" && request.mode !== "navigate")) return;
  event.respondWith(answer(event, path));
});

async function answer({ request, clientId }, path) {
  const page = clientId && request.mode !== "navigate" ? await self.clients.get(clientId) : null;
  if (page && new URL(page.url).pathname !== "/") return fetch(request);
  return path === "/config.json" ? freshest(request) : kept(path, request);
}

/** The kept file; a missing one comes from the network. */
async function kept(path, request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(path)) ?? fetch(request);
}

/** The network's answer, so that a new version is noticed; without a network the kept one. */
async function freshest(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put("/config.json", answer.clone());
    return answer;
  } catch (error) {
    const old = await cache.match("/config.json");
    if (old) return old;
    throw error;
  }
}
