// Chromium for benchmarks/web.py: node web.mjs URL, Chromium's path in $CHROMIUM. Reads a task per
// line as JSON and answers each with one line of JSON.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const { chromium } = createRequire(import.meta.url)('playwright-core'); // found by NODE_PATH
const [url] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-renderer-backgrounding', // which would slow down the page that is not in front
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream', // Chromium's own moving picture, as a camera
  ],
});
const pages = new Map(); // by the number of threads

async function visit(context) {
  const page = await context.newPage();
  await page.goto(`${url}?backend=wasm`);
  for (;;) {
    // Null while the page reloads, which the first visit does to get threads.
    const detail = await page
      .evaluate(() => performance.getEntriesByType('measure').at(-1)?.detail)
      .catch(() => null);
    if (detail) return { page, detail };
    await sleep(50);
  }
}

// A page with the runtime on so many threads.
async function pageOf(threads) {
  if (!pages.has(threads)) {
    const { page } = await visit(await browser.newContext());
    await page.evaluate(async (count) => {
      const base = new URL('runtime/', location.href).href;
      self.ort = await import(`${base}ort.wasm.min.mjs`);
      self.ort.env.wasm.numThreads = count;
      self.ort.env.wasm.wasmPaths = base;
      self.sessions = new Map();
    }, threads);
    pages.set(threads, page);
  }
  return pages.get(threads);
}

const TASKS = {
  // Milliseconds of one run.
  async run({ threads, net, size }) {
    const page = await pageOf(threads);
    return page.evaluate(
      async ([name, side]) => {
        const { ort, sessions } = self;
        const picture = Float32Array.from({ length: side * side * 3 }, (_, i) => (i % 251) / 250);
        const once = async () => {
          const image = new ort.Tensor('float32', picture, [1, side, side, 3]);
          const begun = performance.now();
          const { output } = await sessions.get(name).run({ image });
          output.dispose();
          return performance.now() - begun;
        };
        if (!sessions.has(name)) {
          const data = await (await fetch(`nets/${name}.onnx`)).arrayBuffer();
          sessions.set(name, await ort.InferenceSession.create(new Uint8Array(data)));
        }
        return once();
      },
      [net, size],
    );
  },

  // The steps to the first painting, on a first visit and on a second one; and the site's files
  // that the first one loads.
  async first() {
    const context = await browser.newContext();
    const found = [];
    const loaded = new Set();
    context.on('request', (request) => {
      if (request.url().startsWith(url)) loaded.add(request.url().slice(url.length).split('?')[0]);
    });
    for (let i = 0; i < 2; i++) {
      const begun = performance.now();
      const { page, detail } = await visit(context);
      found.push({ ...detail, totalMs: performance.now() - begun });
      if (i === 0) found[0].loaded = [...loaded];
      await page.close();
    }
    await context.close();
    return found;
  },

  // Pictures per second that the page shows after some seconds of painting the camera's.
  async camera({ style, size, seconds }) {
    const context = await browser.newContext();
    const { page } = await visit(context);
    await page.evaluate((name) => document.querySelector(`input[value="${name}"]`).click(), style);
    await sleep(1000);
    await page.click('#camera');
    await page.waitForSelector('#size[data-kind="live"]');
    await page.selectOption('#size', String(size));
    await sleep(1000 * seconds);
    const said = await page.evaluate(() => document.getElementById('status').textContent);
    await context.close();
    return Number(/([\d.]+) frames/.exec(said)[1]);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { task, ...given } = JSON.parse(line);
  console.log(JSON.stringify(await TASKS[task](given)));
}
await browser.close();
