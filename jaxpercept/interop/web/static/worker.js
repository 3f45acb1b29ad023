// The worker that computes: decodes photos, runs nets, finishes pictures. The page talks to it
// through engine.js: {id, task, ...} in, {id, progress} and then {id, result} or {id, error} out.

import { controlled, fit, floats, grain, resized, rgba, tiles } from './pixels.js';

const LARGEST_SIDE = 16384; // of a canvas
const LARGEST_RESULT = 40e6; // pixels of an enlarged picture
const TILE = 128; // input pixels a side, when enlarging

let site;
let ort;
let backend;
let sessions = new Map();
let photo; // {bitmap, height, width}
let painted; // {key, size: [height, width], content, output}

class Refusal extends Error {} // shown to the visitor as it is

const now = () => performance.now();

// One of the runtime's files or a net, with progress: {loaded, total} in bytes.
async function download(url, progress) {
  const response = await fetch(url);
  if (!response.ok) throw new Refusal(`${url} cannot be loaded (${response.status}).`);
  const total = site.bytes[url];
  const out = new Uint8Array(total);
  const reader = response.body.getReader();
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (loaded + value.length > total) throw new Refusal(`${url} is not what this page expects.`);
    out.set(value, loaded);
    loaded += value.length;
    progress({ step: 'download', loaded, total });
  }
  return out;
}

// WebGPU where a real adapter is, unless `wanted` says which.
async function chooseBackend(wanted) {
  if (wanted === 'wasm' || !site.runtime.webgpu) return 'wasm';
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (wanted === 'webgpu' && adapter) return 'webgpu';
  return adapter && !adapter.info?.isFallbackAdapter ? 'webgpu' : 'wasm';
}

async function start({ manifest, wanted, threads }, progress) {
  site = manifest;
  backend = await chooseBackend(wanted);
  const files = site.runtime[backend];
  const begun = now();
  const [module, wasmBinary] = await Promise.all([
    import(new URL(files.script, self.location.href).href),
    download(files.wasm, progress),
  ]);
  ort = module;
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = backend === 'webgpu' ? 1 : threads;
  ort.env.wasm.wasmPaths = { mjs: new URL(files.loader, self.location.href).href };
  ort.env.wasm.wasmBinary = wasmBinary.buffer;
  return { backend, threads: ort.env.wasm.numThreads, downloadMs: now() - begun };
}

async function sessionOf(net, progress) {
  if (!sessions.has(net)) {
    for (const [name, old] of sessions) {
      if (sessions.size < 2) break;
      await old.release();
      sessions.delete(name);
    }
    const data = await download(net, progress);
    progress({ step: 'compile' });
    sessions.set(
      net,
      await ort.InferenceSession.create(data, {
        executionProviders: [backend],
        logSeverityLevel: 3, // errors; that shapes are computed on the CPU is none
      }),
    );
  }
  return sessions.get(net);
}

// The net's output for one picture: {data, height, width}.
async function run(session, picture, [height, width], blend) {
  const feeds = { image: new ort.Tensor('float32', picture, [1, height, width, 3]) };
  if (blend) feeds.blend = new ort.Tensor('float32', Float32Array.from(blend), [blend.length]);
  const { output } = await session.run(feeds);
  const data = await output.getData();
  const [, outHeight, outWidth] = output.dims;
  output.dispose();
  return { data, height: outHeight, width: outWidth };
}

async function open({ blob }) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
    });
  } catch {
    throw new Refusal('This file is not a picture that the browser can read. Try JPEG or PNG.');
  }
  photo?.bitmap.close();
  photo = { bitmap, height: bitmap.height, width: bitmap.width };
  painted = null;
  return { height: photo.height, width: photo.width };
}

// Strips of the photo on white, as RGBA bytes.
function photoRows(top, count) {
  const canvas = new OffscreenCanvas(photo.width, count);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#fff';
  context.fillRect(0, 0, photo.width, count);
  context.drawImage(photo.bitmap, 0, -top);
  return context.getImageData(0, 0, photo.width, count).data;
}

function content(long) {
  const full = [photo.height, photo.width];
  const size = long ? fit(...full, long) : full;
  const [height, width] = size;
  return { size, picture: resized(photoRows, full, size), height, width };
}

async function paint({ net, least, blend, long, largest }, progress) {
  const times = {};
  const [height, width] = long ? fit(photo.height, photo.width, long) : [photo.height, photo.width];
  if (Math.min(height, width) < least) {
    throw new Refusal(
      `This photo is ${width}×${height} pixels. A style needs at least ${least} pixels a side.`,
    );
  }
  if (height * width > largest) {
    throw new Refusal(
      `${width}×${height} is too large to paint in a browser: at most ${largest / 1e6} ` +
        'megapixels. Choose a smaller size; the command line does any size.',
    );
  }
  const fresh = !sessions.has(net);
  let begun = now();
  const session = await sessionOf(net, progress);
  times.prepareMs = fresh ? now() - begun : 0;
  begun = now();
  const sized = `${height}x${width}`;
  if (painted?.sized !== sized) {
    progress({ step: 'photo' });
    const made = content(long);
    painted = { sized, ...made, seen: grain(made.picture, site.grain) };
  }
  times.photoMs = now() - begun;
  progress({ step: 'run', pixels: height * width });
  begun = now();
  painted.output = (await run(session, painted.seen, painted.size, blend)).data;
  times.runMs = now() - begun;
  return { height, width, times, before: await image(painted.picture, painted.size) };
}

async function image(picture, [height, width]) {
  return new ImageData(rgba(picture), width, height);
}

async function finish({ strength, keepColours }) {
  if (!painted?.output) return null;
  const result = controlled(painted.output, painted.picture, { strength, keepColours });
  return { after: await image(result, painted.size) };
}

async function enlarge({ net, scale, netScale, reach }, progress) {
  const { height, width } = photo;
  if (Math.min(height, width) < 8) {
    throw new Refusal(`This photo is ${width}×${height} pixels; at least 8 a side are needed.`);
  }
  const pixels = height * width * scale ** 2;
  if (pixels > LARGEST_RESULT || Math.max(height, width) * netScale > LARGEST_SIDE) {
    throw new Refusal(
      `Enlarged ×${scale}, this photo would be ${width * scale}×${height * scale} pixels: more ` +
        `than the ${LARGEST_RESULT / 1e6} megapixels that a browser is trusted with here.`,
    );
  }
  const session = await sessionOf(net, progress);
  const source = photoRows(0, height);
  const picture = floats(source);
  const out = new Uint8ClampedArray(height * width * netScale ** 2 * 4);
  const rows = tiles(height, reach === null ? height : TILE, reach ?? 0);
  const columns = tiles(width, reach === null ? width : TILE, reach ?? 0);
  let done = 0;
  for (const row of rows) {
    for (const column of columns) {
      const part = crop(picture, width, row, column);
      const made = await run(session, part, [row.length, column.length]);
      paste(out, width * netScale, rgba(made.data), made.width, row, column, netScale);
      progress({ step: 'tiles', done: ++done, total: rows.length * columns.length });
    }
  }
  const before = new ImageData(source, width, height);
  if (scale === netScale) {
    return { before, after: new ImageData(out, width * scale, height * scale) };
  }
  const whole = [height * netScale, width * netScale];
  const lines = (top, count) => out.subarray(top * whole[1] * 4, (top + count) * whole[1] * 4);
  const smaller = resized(lines, whole, [height * scale, width * scale]);
  return { before, after: await image(smaller, [height * scale, width * scale]) };
}

function crop(picture, width, row, column) {
  const out = new Float32Array(row.length * column.length * 3);
  for (let y = 0; y < row.length; y++) {
    const from = ((row.start + y) * width + column.start) * 3;
    out.set(picture.subarray(from, from + column.length * 3), y * column.length * 3);
  }
  return out;
}

function paste(out, outWidth, tile, tileWidth, row, column, scale) {
  const left = (column.first - column.start) * scale;
  const length = (column.end - column.first) * scale;
  for (let y = row.first * scale; y < row.end * scale; y++) {
    const from = ((y - row.start * scale) * tileWidth + left) * 4;
    out.set(tile.subarray(from, from + length * 4), (y * outWidth + column.first * scale) * 4);
  }
}

// One frame of the camera: RGBA bytes in and out.
async function frame({ net, blend, bytes, height, width, strength, keepColours }, progress) {
  const session = await sessionOf(net, progress);
  const picture = floats(bytes);
  const { data } = await run(session, grain(picture, site.grain), [height, width], blend);
  const result = controlled(data, picture, { strength, keepColours });
  return { after: await image(result, [height, width]) };
}

async function encode({ pixels, type }) {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  return { blob: await canvas.convertToBlob({ type, quality: 0.95 }) };
}

const TASKS = { start, open, paint, finish, enlarge, frame, encode };
let last = Promise.resolve();

self.onmessage = ({ data: { id, task, ...given } }) => {
  const progress = (state) => self.postMessage({ id, progress: state });
  last = last.then(async () => {
    try {
      const result = await TASKS[task](given, progress);
      const moved = [result?.before, result?.after].filter(Boolean).map((x) => x.data.buffer);
      self.postMessage({ id, result }, moved);
    } catch (error) {
      const refused = error instanceof Refusal;
      self.postMessage({ id, error: { message: error.message ?? String(error), refused } });
    }
  });
};
