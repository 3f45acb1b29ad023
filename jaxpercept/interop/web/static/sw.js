// Service worker: answers from a cache of this version of the site, and adds headers.

importScripts('sw-files.js'); // VERSION, SHELL: written with the site

const CACHE = `jaxpercept ${self.registration.scope} ${VERSION}`;
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; " +
    "style-src 'self'; img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; " +
    "base-uri 'none'; form-action 'none'",
};

self.addEventListener('install', (event) => {
  const fresh = SHELL.map((file) => new Request(file, { cache: 'no-cache' }));
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(fresh))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  const mine = `jaxpercept ${self.registration.scope} `;
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith(mine) && name !== CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || !url.href.startsWith(self.registration.scope)) return;
  event.respondWith(answer(event.request, url));
});

async function answer(request, url) {
  const cache = await caches.open(CACHE);
  const key = url.origin + url.pathname; // the query chooses a back end, not a file
  let response = await cache.match(key);
  if (!response) {
    response = await fetch(request.mode === 'navigate' ? key : request);
    if (response.status === 200) await cache.put(key, response.clone());
  }
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(response.body, {
    status: response.status,
    statusText: response.statusText,
    headers,
  });
}
