// The page: what happens when a photo is opened, a control moves, the camera runs.

import { Camera } from './camera.js';
import * as controls from './controls.js';
import { Engine } from './engine.js';
import { isolated } from './isolation.js';
import * as view from './view.js';

const LIVE = { wasm: 192, light: 256, webgpu: 384 };
const at = (id) => document.getElementById(id);

const site = await (await fetch('site.json')).json();
const camera = new Camera();
let engine;
let photo; // {blob, name, height, width}
let openedBy; // the worker that holds the photo
let pixels; // ImageData of the result, at its full size
let wanted = new Set(); // what is to be done: "paint", "finish"
let working = false; // shown, and can be cancelled
let looping = false;
let opened = 0; // photos so far; the last one counts, whichever is decoded last

function newEngine(backend) {
  engine?.stop();
  engine = new Engine(site, { wanted: backend });
  openedBy = undefined;
  view.forgetSpeed();
}

// Opens the photo in the worker, if this worker does not hold it yet.
async function handOver() {
  await engine.ready(view.report);
  if (openedBy === engine.started) return;
  const { started } = engine;
  const mine = photo;
  await engine.ask('open', { blob: mine.blob });
  if (photo === mine) openedBy = started;
}

async function openPhoto(blob, name) {
  stopCamera();
  view.message('');
  const turn = ++opened;
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
  } catch {
    if (turn !== opened) return;
    view.message('This file is not a picture that the browser can read. Try JPEG or PNG.');
    return;
  }
  if (turn !== opened) {
    bitmap.close();
    return;
  }
  photo = { blob, name, height: bitmap.height, width: bitmap.width };
  openedBy = undefined;
  controls.offerSizes(photo);
  await showPhoto(bitmap);
  if (controls.mode() === 'paint') await request('paint');
}

// The photo alone, as small as a screen needs it.
async function showPhoto(bitmap) {
  pixels = undefined;
  const scale = Math.min(1, 1600 / Math.max(bitmap.width, bitmap.height));
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: 'high',
  });
  bitmap.close();
  view.show({ before: small, after: small, state: 'photo', label: 'The photo' });
  allowSaving();
  describeEnlarged();
}

// Runs one piece of work with progress, cancelling and errors shown; false if it failed.
async function job(work) {
  working = true;
  view.busy(true);
  try {
    await work();
    return true;
  } catch (error) {
    await failed(error);
    return false;
  } finally {
    working = false;
    view.busy(false);
  }
}

async function failed(error) {
  if (error.name === 'AbortError') {
    view.status('Cancelled.');
  } else if (error.refused) {
    view.message(error.message);
  } else if (engine.about?.backend === 'webgpu') {
    newEngine('wasm');
    const again = controls.mode() === 'enlarge' ? ' Press Enlarge again.' : '';
    view.message(`WebGPU failed on this device; the page goes on with WebAssembly.${again}`);
    wanted.add('paint');
  } else {
    newEngine(engine.wanted); // what went wrong, memory most likely, leaves a runtime unusable
    view.message(`This did not work: ${error.message}`);
  }
}

// Asks for a painting, or its finish alone; what is asked for meanwhile is done after, once.
async function request(what) {
  wanted.add(what);
  await goOn();
}

async function goOn() {
  if (looping || working || camera.on || !photo) return;
  looping = true;
  try {
    while (wanted.size && controls.mode() === 'paint') {
      const paint = wanted.has('paint') || !pixels;
      wanted = new Set();
      await (paint ? job(paintPhoto) : finish().catch(failed));
    }
  } finally {
    looping = false;
  }
}

async function paintPhoto() {
  view.message('');
  const mine = photo;
  await handOver();
  const style = controls.style(site);
  const { net, least, grain } = style;
  const how = { blend: controls.blend(site), long: controls.long(), stroke: controls.stroke() };
  const done = await engine.ask('paint', { net, least, grain, ...how }, view.report);
  if (photo !== mine || controls.mode() !== 'paint') return; // something else is shown by now
  await finish(done.before);
  const { photoMs, runMs, enlargeMs = 0 } = done.times;
  view.took(runMs / 1000, done.seen[0] * done.seen[1]);
  const total = (photoMs + runMs + enlargeMs) / 1000;
  view.status(`${backendName()} · ${done.width} × ${done.height} · ${total.toFixed(1)} s`);
  const { downloadMs } = engine.about;
  performance.measure('paint', { start: 0, detail: { ...done.times, downloadMs } });
}

async function finish(before) {
  const done = await engine.ask('finish', controls.finishing());
  if (!done) return;
  ({ pixels } = done);
  const { title } = controls.style(site);
  view.name('Painting');
  const label = `${photo.name} in the style ${title}`;
  view.show({ before, after: done.after, state: 'done', label });
  allowSaving();
}

async function enlarge() {
  const factor = controls.factor(site);
  const done = await job(async () => {
    view.message('');
    const mine = photo;
    await handOver();
    const { before, after, ...made } = await engine.ask('enlarge', factor, view.report);
    if (photo !== mine || controls.mode() !== 'enlarge') return; // something else is shown by now
    ({ pixels } = made);
    view.name(`Enlarged ×${factor.scale}`);
    view.show({ before, after, state: 'done', label: `${photo.name} enlarged ${factor.scale} times` });
    view.status(`${backendName()} · ${pixels.width} × ${pixels.height}`);
  });
  if (done) allowSaving();
  await goOn();
}

function describeEnlarged() {
  const factor = controls.factor(site);
  if (!photo?.width || !factor) return;
  const [w, h] = [photo.width, photo.height];
  at('enlarged').textContent =
    `${w} × ${h} becomes ${w * factor.scale} × ${h * factor.scale} pixels.`;
}

function backendName() {
  const { backend, threads } = engine.about;
  if (backend === 'webgpu') return 'WebGPU';
  return `WebAssembly, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}

async function startCamera() {
  view.message('');
  at('camera').disabled = true; // a second click would start a second stream
  try {
    await camera.start();
  } catch (error) {
    camera.stop();
    view.message(
      error.name === 'NotAllowedError'
        ? 'The browser was not allowed to use the camera.'
        : `The camera cannot be used: ${error.message}`,
    );
    return;
  } finally {
    at('camera').disabled = false;
  }
  at('camera').textContent = 'Stop the camera';
  at('snap').hidden = false;
  await job(() => engine.ready(view.report));
  const style = controls.style(site);
  controls.offerLiveSizes(LIVE[liveNet(style) === style ? (engine.about?.backend ?? 'wasm') : 'light']);
  view.name('Live');
  await live();
}

// WebAssembly needs a light net to keep up with a camera.
function liveNet(style) {
  return (engine.about?.backend !== 'webgpu' && style.light) || style;
}

async function live() {
  let average;
  pixels = undefined;
  allowSaving();
  while (camera.on) {
    const begun = performance.now();
    const style = controls.style(site);
    const { net, grain, least } = liveNet(style);
    const long = Math.max(controls.long(), least);
    const given = { net, grain, blend: controls.blend(site), ...controls.finishing() };
    try {
      const { after } = await engine.ask('frame', { ...given, ...camera.frame(long) }, () => {});
      if (!camera.on) break;
      view.show({ after, state: 'live', label: `The camera in the style ${style.title}` });
    } catch (error) {
      stopCamera();
      if (photo) controls.offerSizes(photo);
      await failed(error);
      break;
    }
    const spent = performance.now() - begun;
    average = average === undefined ? spent : 0.8 * average + 0.2 * spent;
    view.status(`${backendName()} · ${(1000 / average).toFixed(1)} frames/s`);
  }
}

function stopCamera() {
  if (!camera.on) return;
  camera.stop();
  at('camera').textContent = 'Camera';
  at('snap').hidden = true;
}

async function save(type, suffix) {
  let blob;
  try {
    ({ blob } = await engine.ask('encode', { pixels, type }));
  } catch (error) {
    view.message(`The picture could not be saved: ${error.message}`);
    return;
  }
  const stem = photo.name.replace(/\.[^.]*$/, '');
  const made = controls.mode() === 'enlarge' ? 'enlarged' : controls.style(site).name;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${stem}_${made}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function allowSaving() {
  at('png').disabled = at('jpeg').disabled = !pixels;
}

async function openSample({ file, name }, button) {
  mark(button);
  await openPhoto(await (await fetch(file)).blob(), `${name}.jpg`);
}

function mark(button) {
  for (const other of at('samples').children) {
    other.setAttribute('aria-pressed', String(other === button));
  }
}

function openFile(file) {
  if (!file) return;
  mark(null);
  openPhoto(file, file.name || 'picture.png');
}

async function changeMode() {
  const mine = photo;
  if (!mine) return;
  controls.offerSizes(mine); // the camera's are others
  const bitmap = await createImageBitmap(mine.blob, { imageOrientation: 'from-image' });
  if (photo === mine) await showPhoto(bitmap);
  if (controls.mode() === 'paint') request('paint');
}

function changed(what) {
  if (what === 'mode') {
    if (controls.mode() === 'enlarge') stopCamera();
    view.message('');
    changeMode();
  } else if (what === 'factor') describeEnlarged();
  else if (what === 'finish') request('finish');
  else request('paint');
}

function listen() {
  at('file').addEventListener('change', ({ target }) => {
    openFile(target.files[0]);
    target.value = '';
  });
  at('enlarge').addEventListener('click', () => photo && !working && enlarge());
  at('cancel').addEventListener('click', cancel);
  at('png').addEventListener('click', () => save('image/png', 'png'));
  at('jpeg').addEventListener('click', () => save('image/jpeg', 'jpg'));
  at('camera').addEventListener('click', async () => {
    if (!camera.on) await startCamera();
    else {
      stopCamera();
      if (photo) await openPhoto(photo.blob, photo.name);
    }
  });
  at('snap').addEventListener('click', async () => {
    openPhoto(await camera.photo(), 'camera.png');
  });
  at('backend').addEventListener('change', ({ target }) => {
    newEngine(target.value);
    request('paint');
  });
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && cancel());
  document.addEventListener('paste', ({ clipboardData }) => openFile(clipboardData.files[0]));
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove('dragging');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    openFile(event.dataTransfer.files[0]);
  });
}

function cancel() {
  if (!working) return;
  wanted = new Set();
  openedBy = undefined;
  engine.stop();
}

function addSamples() {
  for (const sample of site.samples) {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-pressed', 'false');
    const image = document.createElement('img');
    image.src = sample.file;
    image.alt = sample.title;
    button.append(image);
    button.addEventListener('click', () => openSample(sample, button));
    at('samples').append(button);
  }
}

controls.build(site, changed);
addSamples();
await isolated();
const asked = new URLSearchParams(location.search).get('backend');
at('backend').value = ['wasm', 'webgpu'].includes(asked) ? asked : 'auto';
newEngine(at('backend').value);
listen();
view.status('Ready.');
await openSample(site.samples[0], at('samples').children[0]);
