// The worker that computes: decodes photos, runs nets, finishes pictures. The page talks to it
// through engine.js: {id, task, ...} in, {id, progress} and then {id, result} or {id, error} out.

import { enlarged } from './enlarging.js';
import * as nets from './nets.js';
import { controlled, grain, rgba } from './pixels.js';
import { png } from './png.js';
import { LARGEST_RESULT, Resizer, cubicTaps, fit, resized, seenSize } from './scaling.js';
import { bled, isTransparent, overWhite } from './transparency.js';

const { Refusal, now } = nets;
const LARGEST_SEEN = 4e6; // pixels that a style net takes at once
const SHOWN = 2048; // pixels of the longer side, on the page

let site;
let photo; // {bitmap, height, width, colorType}
let painted; // what is kept from one painting to the next, see `paint`

function start(given, progress) {
  site = given.manifest;
  return nets.start(given, progress);
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
  photo = { bitmap, height: bitmap.height, width: bitmap.width, colorType: 'unorm8' };
  // A canvas of 8 bits rounds the colours of pixels that are nearly transparent.
  if (blob.type !== 'image/jpeg' && hasTransparency()) photo.colorType = 'float16';
  painted = null;
  return { height: photo.height, width: photo.width };
}

function hasTransparency() {
  for (let top = 0; top < photo.height; top += 128) {
    if (isTransparent(photoRows(top, Math.min(128, photo.height - top)))) return true;
  }
  return false;
}

// Rows of the photo, as RGBA bytes.
function photoRows(top, count) {
  const { width, colorType } = photo;
  const canvas = new OffscreenCanvas(width, count);
  const context = canvas.getContext('2d', { willReadFrequently: true, colorType });
  context.drawImage(photo.bitmap, 0, -top);
  return context.getImageData(0, 0, width, count).data;
}

// The photo at a size, as RGBA bytes.
function content(size) {
  return bled(resized(photoRows, [photo.height, photo.width], size), ...size);
}

async function paint({ net, long, stroke, blend, ...style }, progress) {
  const own = [photo.height, photo.width];
  const size = long ? fit(...own, long) : own;
  const seen = seenSize(stroke, ...size, site.strokes, style.least);
  check(size, seen, style.least);
  const times = {};
  const session = await nets.sessionOf(net, progress, times);
  let begun = now();
  if (String(painted?.size) !== String(size)) {
    progress({ step: 'photo' });
    painted = { size, content: content(size) };
  }
  const sees = `${seen} ${style.grain}`;
  if (painted.sees !== sees) {
    const rows = (top, count) =>
      painted.content.subarray(top * size[1] * 4, (top + count) * size[1] * 4);
    const small = String(seen) === String(size) ? painted.content : opaque(rows, size, seen);
    painted = { ...painted, sees, input: grain(small, style.grain, site.noise) };
  }
  times.photoMs = now() - begun;
  progress({ step: 'run', pixels: seen[0] * seen[1] });
  begun = now();
  let output = (await nets.run(session, painted.input, seen, blend)).data;
  times.runMs = now() - begun;
  if (String(seen) !== String(size)) {
    begun = now();
    output = await toSize(rgba(output), seen, size, progress);
    times.enlargeMs = now() - begun;
  }
  painted.output = output;
  const [height, width] = size;
  const before = await shown(new ImageData(painted.content, width, height));
  return { height, width, seen, times, before };
}

// A net's output at the picture's size: by the site's net, if it has one, and then by Lanczos.
async function toSize(bytes, seen, size, progress) {
  const by = site.strokes;
  const made = new Resizer(by.net ? seen.map((side) => side * by.netScale) : seen, size);
  if (by.net) await enlarged(by, bytes, seen, (band) => made.add(band), progress);
  else made.add(bytes);
  return made.result();
}

// RGBA bytes at another size, whatever their opacity.
function opaque(rows, size, newSize) {
  const made = new Resizer(size, newSize);
  for (let top = 0; top < size[0]; top += 128) made.add(rows(top, Math.min(128, size[0] - top)));
  return made.result();
}

function check(size, seen, least) {
  const [height, width] = seen;
  if (Math.min(height, width) < least) {
    throw new Refusal(
      String(seen) === String(size)
        ? `This photo is ${width}×${height} pixels. A style needs at least ${least} per side.`
        : `With these strokes the net would see ${width}×${height} pixels, and a style needs at ` +
          `least ${least} per side. Choose finer strokes.`,
    );
  }
  if (height * width > LARGEST_SEEN) {
    throw new Refusal(
      `${width}×${height} is too large to paint in a browser at once: at most ` +
        `${LARGEST_SEEN / 1e6} megapixels. Choose coarser strokes or a smaller size; the command ` +
        'line does any size.',
    );
  }
  refuseLarge(size, 'Painted');
}

function refuseLarge([height, width], what) {
  if (height * width <= LARGEST_RESULT) return;
  throw new Refusal(
    `${what}, this photo would have ${width}×${height} pixels: more than the ` +
      `${LARGEST_RESULT / 1e6} megapixels that a browser is trusted with here.`,
  );
}

// A picture as large as a screen needs it.
function shown(pixels) {
  const scale = SHOWN / Math.max(pixels.width, pixels.height);
  if (scale >= 1) return createImageBitmap(pixels);
  const [resizeWidth, resizeHeight] = [pixels.width, pixels.height].map((x) =>
    Math.max(1, Math.round(x * scale)),
  );
  return createImageBitmap(pixels, { resizeWidth, resizeHeight, resizeQuality: 'medium' });
}

async function finish(how) {
  if (!painted?.output) return null;
  const [height, width] = painted.size;
  const pixels = new ImageData(controlled(painted.output, painted.content, how), width, height);
  return { after: await shown(pixels), pixels };
}

async function enlarge({ scale, ...net }, progress) {
  const own = [photo.height, photo.width];
  if (Math.min(...own) < 8) {
    throw new Refusal(`This photo is ${own[1]}×${own[0]} pixels; at least 8 per side are needed.`);
  }
  const size = own.map((side) => side * scale);
  refuseLarge(size, `Enlarged ×${scale}`);
  const source = content(own);
  const whole = own.map((side) => side * net.netScale);
  const made = new Resizer(whole, size);
  await enlarged(net, source, own, (band) => made.add(band), progress);
  const bytes = made.result();
  if (isTransparent(source)) {
    const opacity = source.filter((_, i) => i % 4 === 3);
    const large = new Resizer(own, whole, { channels: 1, taps: cubicTaps });
    large.add(opacity);
    const final = new Resizer(whole, size, { channels: 1 });
    final.add(large.result());
    final.result().forEach((x, i) => (bytes[4 * i + 3] = x));
  }
  const pixels = new ImageData(bytes, size[1], size[0]);
  const before = await shown(new ImageData(source, own[1], own[0]));
  return { before, after: await shown(pixels), pixels };
}

// One frame of the camera: RGBA bytes in and out.
async function frame({ net, blend, bytes, height, width, ...how }, progress) {
  const session = await nets.sessionOf(net, progress);
  const input = grain(bytes, how.grain, site.noise);
  const { data } = await nets.run(session, input, [height, width], blend);
  return { after: new ImageData(controlled(data, bytes, how), width, height) };
}

async function encode({ pixels, type }) {
  if (type === 'image/png') return { blob: await png(pixels) };
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  overWhite(pixels.data);
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  return { blob: await canvas.convertToBlob({ type, quality: 0.95 }) };
}

const TASKS = { start, open, paint, finish, enlarge, frame, encode };
let last = Promise.resolve();

function movable(x) {
  return x instanceof ImageData ? [x.data.buffer] : x instanceof ImageBitmap ? [x] : [];
}

self.onmessage = ({ data: { id, task, ...given } }) => {
  const progress = (state) => self.postMessage({ id, progress: state });
  last = last.then(async () => {
    try {
      const result = await TASKS[task](given, progress);
      self.postMessage({ id, result }, Object.values(result ?? {}).flatMap(movable));
    } catch (error) {
      const refused = error instanceof Refusal;
      self.postMessage({ id, error: { message: error.message ?? String(error), refused } });
    }
  });
};
