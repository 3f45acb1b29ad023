// The page's side of worker.js: one promise for each task, and cancelling by a new worker.

export class Engine {
  constructor(site, { wanted = 'auto' } = {}) {
    this.site = site;
    this.wanted = wanted;
    this.waiting = new Map();
    this.count = 0;
  }

  // Starts the worker and its runtime, once.
  ready(progress) {
    this.started ??= this.start(progress);
    return this.started;
  }

  async start(progress) {
    this.worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      this.fail(new Error(event.message || 'The worker could not be started.'));
    };
    const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
    const given = { manifest: this.site, wanted: this.wanted, threads };
    this.about = await this.send('start', given, progress);
    return this.about;
  }

  async ask(task, given = {}, progress = () => {}) {
    await this.ready(progress);
    return this.send(task, given, progress);
  }

  send(task, given, progress) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, progress });
      this.worker.postMessage({ id, task, ...given });
    });
  }

  receive({ id, progress, result, error }) {
    const call = this.waiting.get(id);
    if (!call) return;
    if (progress) {
      call.progress(progress);
      return;
    }
    this.waiting.delete(id);
    if (error) call.reject(Object.assign(new Error(error.message), { refused: error.refused }));
    else call.resolve(result);
  }

  // Ends all work at once; the next task starts anew, with the photo to be opened again.
  stop(reason = new DOMException('Cancelled', 'AbortError')) {
    this.worker?.terminate();
    this.started = undefined;
    this.fail(reason);
  }

  fail(reason) {
    const calls = [...this.waiting.values()];
    this.waiting.clear();
    for (const call of calls) call.reject(reason);
  }
}
