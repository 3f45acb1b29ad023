// The service worker: it keeps the page for offline, and adds the headers that give WebAssembly its
// threads, which plain file servers do not send. For these the first visit reloads once.

const RELOADED = 'reloaded for threads';

// Resolves when the page is as isolated as it will get; never, where it is about to reload.
export async function isolated() {
  if (!('serviceWorker' in navigator) || !self.isSecureContext) return;
  try {
    await navigator.serviceWorker.register('sw.js', { updateViaCache: 'none' });
    await navigator.serviceWorker.ready;
  } catch {
    return; // private windows of some browsers: one thread, no offline
  }
  if (self.crossOriginIsolated) {
    sessionStorage.removeItem(RELOADED);
  } else if (!sessionStorage.getItem(RELOADED)) {
    sessionStorage.setItem(RELOADED, 'yes');
    location.reload();
    await new Promise(() => {});
  }
}
