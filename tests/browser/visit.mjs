// Drives the page in headless Chromium for tests/test_web_browser.py:
// node visit.mjs SCENARIO URL FOLDER, Chromium's path in $CHROMIUM; prints what it saw as JSON.

import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const { chromium } = createRequire(import.meta.url)('playwright-core'); // found by NODE_PATH

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const WEBGPU = [
  ...FLAGS.filter((flag) => flag !== '--disable-gpu'),
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--use-angle=swiftshader',
  '--ignore-gpu-blocklist',
  '--enable-features=Vulkan',
];
const CAMERA = [
  ...FLAGS,
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
];
const [scenario, url, folder] = process.argv.slice(2);
const at = (name) => join(folder, name);
const seen = { errors: [], elsewhere: [], loaded: [] };

async function launch(flags = FLAGS) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: flags,
    timeout: 120000,
  });
  const context = await browser.newContext({ acceptDownloads: true });
  context.on('request', (request) => {
    const asked = request.url();
    if (asked.startsWith('blob:')) return;
    if (asked.startsWith(new URL('.', url).href)) seen.loaded.push(asked);
    else seen.elsewhere.push(asked);
  });
  return { browser, context };
}

async function visit(context, address = url, settled = done) {
  const page = await context.newPage();
  page.on('console', (line) => {
    if (['error', 'warning'].includes(line.type())) seen.errors.push(line.text());
  });
  page.on('pageerror', (error) => seen.errors.push(error.message));
  await page.goto(address);
  await settled(page);
  return page;
}

// Polls: under the page's Content-Security-Policy waitForFunction with a text throws.
async function until(page, question, what) {
  for (let i = 0; i < 1200; i++) {
    const found = await page.evaluate(question).catch(() => null); // null while it reloads
    if (found) return found;
    await sleep(250);
  }
  throw new Error(`waited in vain for ${what}: ${JSON.stringify(await state(page))}`);
}

function state(page) {
  return page.evaluate(() => ({
    state: document.getElementById('stage').dataset.state,
    message: document.getElementById('message').textContent,
    status: document.getElementById('status').textContent,
    activity: document.getElementById('activity').textContent,
  }));
}

// Until the page is at rest, with a picture or with a message.
async function done(page) {
  await until(
    page,
    () => {
      const stage = document.getElementById('stage');
      const said = document.getElementById('message').textContent;
      return stage.getAttribute('aria-busy') === 'false' && (stage.dataset.state === 'done' || said);
    },
    'a picture or a message',
  );
}

// Until the run that goes on is cancelled.
async function cancelled(page) {
  await until(
    page,
    () => document.getElementById('activity').textContent.startsWith('Painting'),
    'the run',
  );
  await page.click('#cancel');
  await until(
    page,
    () => document.getElementById('stage').getAttribute('aria-busy') === 'false',
    'the end of the work',
  );
}

async function open(page, file) {
  await page.evaluate(() => (document.getElementById('stage').dataset.state = 'waiting'));
  await page.setInputFiles('#file', at(file));
  await done(page);
  return state(page);
}

// The label of the picture that is shown, which begins with the photo's name.
function shown(page) {
  return page.evaluate(() => document.getElementById('after').getAttribute('aria-label'));
}

async function save(page, name) {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.click(name.endsWith('.png') ? '#png' : '#jpeg'),
  ]);
  await download.saveAs(at(name));
  return download.suggestedFilename();
}

async function slide(page, id, value) {
  await page.evaluate(
    ([slider, to]) => {
      const input = document.getElementById(slider);
      input.value = to;
      input.dispatchEvent(new Event('input', { bubbles: true }));
    },
    [id, value],
  );
  await sleep(300);
  await done(page);
}

async function choose(page, selector) {
  await page.evaluate((given) => document.querySelector(given).click(), selector);
  await sleep(300);
  await done(page);
}

// Controls without a name that a screen reader could say.
function unnamed(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('button, input, select, img, canvas')]
      .filter((x) => !x.closest('[aria-hidden="true"]'))
      .filter((x) => {
        if (x.tagName === 'IMG') return !x.hasAttribute('alt');
        const labels = [...(x.labels ?? [])].map((label) => label.textContent).join('');
        const inner = [...x.querySelectorAll('img')].map((image) => image.alt).join('');
        return !(x.getAttribute('aria-label') || labels.trim() || x.textContent.trim() || inner);
      })
      .map((x) => x.outerHTML),
  );
}

const SCENARIOS = {
  async first({ context }) {
    const page = await visit(context);
    const isolated = await page.evaluate(() => self.crossOriginIsolated);
    const times = await page.evaluate(() => performance.getEntriesByType('measure')[0].detail);
    return { isolated, times, unnamed: await unnamed(page), ...(await state(page)) };
  },

  async paint({ context }) {
    const page = await visit(context);
    await choose(page, 'input[value="wave"]');
    const opened = await open(page, 'photo.png');
    const name = await save(page, 'wave.png');
    await save(page, 'wave.jpg');
    await slide(page, 'strength', 40);
    await choose(page, '#colours');
    await save(page, 'gentle.png');
    await slide(page, 'strength', 0);
    await save(page, 'none.png');
    await open(page, 'large.png'); // at the size that is offered first, 512
    await slide(page, 'strength', 100);
    await choose(page, '#colours');
    await save(page, 'smaller.png');
    return { name, ...opened };
  },

  async blend({ context }) {
    const page = await visit(context);
    await open(page, 'photo.png');
    await choose(page, 'input[value="multi"]');
    const before = seen.loaded.length;
    for (const [i, value] of [0, 60, 0, 20, 0, 0].entries()) await slide(page, `mix-${i}`, value);
    await save(page, 'blend.png');
    const parts = await page.evaluate(() =>
      [...document.querySelectorAll('#sliders label')].map((x) => x.textContent),
    );
    await choose(page, '#sliders .slider:nth-child(3) button');
    await save(page, 'only.png');
    return { parts, more: seen.loaded.slice(before), unnamed: await unnamed(page) };
  },

  async odd({ context }) {
    const page = await visit(context);
    await choose(page, 'input[value="wave"]');
    const answers = {};
    for (const name of ['broken.jpg', 'dot.png', 'wide.png', 'clear.png', 'turned.jpg']) {
      answers[name] = await open(page, name);
      if (answers[name].state === 'done') await save(page, `painted-${name}.png`);
      if (name === 'clear.png') await save(page, 'painted-clear.jpg');
    }
    return { answers };
  },

  async keyboard({ context }) {
    const page = await visit(context);
    const passed = [];
    const focused = () =>
      page.evaluate(() => {
        const x = document.activeElement;
        return x.id || x.name || x.getAttribute('aria-label') || x.textContent.trim();
      });
    async function tabTo(wanted) {
      for (let i = 0; i < 40; i++) {
        await page.keyboard.press('Tab');
        passed.push(await focused());
        if (passed.at(-1) === wanted) return;
      }
      throw new Error(`${wanted} is not reached by Tab: ${passed}`);
    }
    await page.evaluate(() => document.activeElement.blur());
    await tabTo('divider');
    await page.keyboard.press('ArrowRight');
    const divider = await page.evaluate(() => document.getElementById('divider').value);
    await tabTo('style');
    await page.keyboard.press('ArrowRight');
    await sleep(500);
    await done(page);
    const label = await page.evaluate(() =>
      document.getElementById('after').getAttribute('aria-label'),
    );
    await tabTo('strength');
    await page.keyboard.press('Home');
    await sleep(500);
    const strength = await page.evaluate(() => document.getElementById('strength').value);
    await tabTo('png');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.keyboard.press('Enter'),
    ]);
    return { divider, label, strength, saved: download.suggestedFilename(), passed };
  },

  // A photo from the clipboard, one that is dropped, and the divider moved with the mouse.
  async hands({ context }) {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await visit(context);
    await choose(page, 'input[value="wave"]');
    const data = [...(await readFile(at('photo.png')))];
    const next = () => page.evaluate(() => (document.getElementById('stage').dataset.state = 'next'));
    await next();
    await page.evaluate(async (bytes) => {
      const type = 'image/png';
      const blob = new Blob([new Uint8Array(bytes)], { type });
      await navigator.clipboard.write([new ClipboardItem({ [type]: blob })]);
    }, data);
    await page.keyboard.press('Control+V');
    await done(page);
    const pasted = await shown(page);
    await save(page, 'pasted.png');
    await next();
    const carried = await page.evaluateHandle((bytes) => {
      const all = new DataTransfer();
      all.items.add(new File([new Uint8Array(bytes)], 'dropped.png', { type: 'image/png' }));
      return all;
    }, data);
    await page.dispatchEvent('body', 'dragover', { dataTransfer: carried });
    const dragging = await page.evaluate(() => document.body.classList.contains('dragging'));
    await page.dispatchEvent('#stage', 'drop', { dataTransfer: carried });
    await done(page);
    const dropped = await shown(page);
    await save(page, 'dropped.png');
    const nothing = await page.evaluateHandle(() => new DataTransfer()); // a text, or a link
    await page.dispatchEvent('#stage', 'drop', { dataTransfer: nothing });
    await sleep(300);
    const after = { ...(await state(page)), shown: await shown(page) };
    const box = await page.locator('#divider').boundingBox();
    const middle = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width / 2, middle);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 4, middle, { steps: 5 });
    await page.mouse.up();
    const divider = await page.evaluate(() =>
      document.getElementById('frame').style.getPropertyValue('--at'),
    );
    return { pasted, dragging, dropped, after, divider };
  },

  // What is asked for last is what is shown, whatever takes longer.
  async races({ context }) {
    const page = await visit(context);
    await choose(page, 'input[value="wave"]');
    await page.evaluate(() => (document.getElementById('stage').dataset.state = 'next'));
    await page.setInputFiles('#file', at('wide.png')); // takes longer to decode
    await page.setInputFiles('#file', at('photo.png'));
    await sleep(3000);
    await done(page);
    const last = await shown(page);
    await save(page, 'last.png');
    await page.evaluate(() => document.querySelector('input[value="enlarge"]').click());
    await sleep(500);
    await page.click('#enlarge');
    await page.evaluate(() => document.querySelector('input[value="paint"]').click()); // meanwhile
    await sleep(500);
    await done(page);
    await save(page, 'instead.png');
    return { last, instead: await shown(page), ...(await state(page)) };
  },

  async strokes({ context }) {
    const page = await visit(context);
    await choose(page, 'input[value="wave"]');
    await open(page, 'phone.png');
    await page.selectOption('#size', '0');
    await sleep(300);
    await done(page);
    const automatic = await state(page);
    await save(page, 'automatic.png');
    await open(page, 'clear.png');
    await page.selectOption('#stroke', '2');
    await sleep(300);
    await done(page);
    await save(page, 'coarse.png');
    await page.selectOption('#stroke', '8');
    await sleep(300);
    await done(page);
    return { automatic, refused: await state(page) };
  },

  async enlarge({ context }) {
    const page = await visit(context);
    await open(page, 'photo.png');
    await page.evaluate(() => document.querySelector('input[value="enlarge"]').click());
    const made = [['photo', 2], ['long', 4], ['high', 4], ['clear', 4], ['clear', 2]];
    for (const [name, factor] of made) {
      await page.setInputFiles('#file', at(`${name}.png`));
      await sleep(500);
      await page.evaluate((x) => document.querySelector(`input[value="${x}"]`).click(), factor);
      await page.evaluate(() => (document.getElementById('stage').dataset.state = 'waiting'));
      await page.click('#enlarge');
      await done(page);
      await save(page, `${name}-x${factor}.png`);
    }
    return state(page);
  },

  async cancel({ context }) {
    const page = await visit(context);
    await open(page, 'large.png');
    await page.selectOption('#size', '0');
    await cancelled(page);
    const stopped = await state(page);
    return { cancelled: stopped, after: await open(page, 'photo.png'), saved: await save(page, 'again.png') };
  },

  async camera({ context }) {
    const page = await visit(context);
    await choose(page, 'input[value="wave"]');
    const sizes = () =>
      page.evaluate(() => [...document.getElementById('size').options].map((x) => x.value));
    const before = await sizes();
    const streams = await page.evaluate(() => {
      const { mediaDevices } = navigator;
      const plain = mediaDevices.getUserMedia.bind(mediaDevices);
      self.streams = 0;
      mediaDevices.getUserMedia = (what) => ++self.streams && plain(what);
      for (let i = 0; i < 2; i++) document.getElementById('camera').click();
      return self.streams;
    });
    await until(
      page,
      () => document.getElementById('status').textContent.includes('frames/s'),
      'a frame',
    );
    const frame = () =>
      page.evaluate(() => {
        const canvas = document.getElementById('after');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return { size: [canvas.width, canvas.height], sum: data.reduce((a, b) => a + b, 0) };
      });
    const first = await frame();
    await sleep(4000);
    const second = await frame();
    const live = await state(page);
    await page.click('#snap');
    await sleep(500);
    await done(page);
    const taken = await state(page);
    await page.click('#camera');
    await until(
      page,
      () => document.getElementById('status').textContent.includes('frames/s'),
      'a frame',
    );
    const during = await sizes();
    await page.click('#camera'); // stops it
    await sleep(500);
    await done(page);
    await page.click('#samples button');
    await sleep(500);
    await done(page);
    return { first, second, live, taken, streams, before, during, after: await sizes() };
  },

  // A second visit without a server: the parent stops it when it reads "stop".
  async offline({ context }) {
    const page = await visit(context);
    await page.close();
    console.log('stop');
    await sleep(1500);
    const again = await visit(context);
    await open(again, 'photo.png');
    const times = await again.evaluate(() => performance.getEntriesByType('measure')[0].detail);
    return { times, ...(await state(again)) };
  },

  async webgpu({ context }) {
    // The sample is too large for a software adapter.
    const page = await visit(context, `${url}?backend=webgpu`, cancelled);
    await open(page, 'small.png');
    await save(page, 'webgpu.png');
    const wave = await state(page);
    await choose(page, 'input[value="multi"]');
    await save(page, 'webgpu-blend.png');
    return { wave, blend: await state(page) };
  },
};

const flags = { webgpu: WEBGPU, camera: CAMERA }[scenario];
const film = scenario === 'camera' ? [`--use-file-for-fake-video-capture=${at('film.y4m')}`] : [];
const given = await launch(flags && [...flags, ...film]);
try {
  const found = await SCENARIOS[scenario](given);
  console.log(JSON.stringify({ ...found, ...seen }));
} finally {
  await given.browser.close();
}
