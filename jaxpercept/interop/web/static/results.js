// Paintings and enlarged photos: asked for, computed, shown.

import * as controls from './controls.js';
import { keep } from './saving.js';
import * as view from './view.js';
import { backendName, camera, failed, handOver, job, site, work } from './work.js';

let looping = false;

// Asks for a painting, or its finish alone; what is asked for meanwhile is done after, once.
export async function request(what) {
  work.wanted.add(what);
  await goOn();
}

async function goOn() {
  if (looping || work.busy || camera.on || !work.photo) return;
  looping = true;
  try {
    while (work.wanted.size && controls.mode() === 'paint') {
      const whole = work.wanted.has('paint') || !work.pixels;
      work.wanted = new Set();
      await (whole ? job(paint) : finish().catch(failed));
    }
  } finally {
    looping = false;
  }
}

async function paint() {
  view.message('');
  const { photo } = work;
  await handOver();
  const style = controls.style(site);
  const { net, least, grain } = style;
  const how = { blend: controls.blend(site), long: controls.long(), stroke: controls.stroke() };
  const done = await work.engine.ask('paint', { net, least, grain, ...how }, view.report);
  if (!isShown(photo, 'paint')) return;
  await finish(done.before);
  const { photoMs, runMs, enlargeMs = 0 } = done.times;
  view.took(runMs / 1000, done.seen[0] * done.seen[1]);
  const total = (photoMs + runMs + enlargeMs) / 1000;
  view.status(`${backendName()} · ${done.width} × ${done.height} · ${total.toFixed(1)} s`);
  const { downloadMs } = work.engine.about;
  performance.measure('paint', { start: 0, detail: { ...done.times, downloadMs } });
}

async function finish(before) {
  const done = await work.engine.ask('finish', controls.finishing());
  if (!done) return;
  const { title } = controls.style(site);
  view.name('Painting');
  const label = `${work.photo.name} in the style ${title}`;
  view.show({ before, after: done.after, state: 'done', label });
  keep(done.pixels);
}

export async function enlarge() {
  if (!work.photo || work.busy) return;
  const factor = controls.factor(site);
  await job(async () => {
    view.message('');
    const { photo } = work;
    await handOver();
    const { before, after, pixels } = await work.engine.ask('enlarge', factor, view.report);
    if (!isShown(photo, 'enlarge')) return;
    const label = `${photo.name} enlarged ${factor.scale} times`;
    view.name(`Enlarged ×${factor.scale}`);
    view.show({ before, after, state: 'done', label });
    view.status(`${backendName()} · ${pixels.width} × ${pixels.height}`);
    keep(pixels);
  });
  await goOn();
}

// Whether a result still belongs to what the page shows.
function isShown(photo, mode) {
  return work.photo === photo && controls.mode() === mode;
}

export function describeEnlarged() {
  const factor = controls.factor(site);
  if (!work.photo?.width || !factor) return;
  const [w, h] = [work.photo.width, work.photo.height];
  document.getElementById('enlarged').textContent =
    `${w} × ${h} becomes ${w * factor.scale} × ${h * factor.scale} pixels.`;
}
