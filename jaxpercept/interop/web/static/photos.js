// The photo that is open: a file, a sample or a picture of the camera.

import * as controls from './controls.js';
import { stopCamera } from './live.js';
import { describeEnlarged, request } from './results.js';
import { keep } from './saving.js';
import * as view from './view.js';
import { site, work } from './work.js';

const SHOWN = 1600; // pixels of the longer side, as many as a screen needs
const samples = document.getElementById('samples');
let opened = 0; // photos so far; the last one counts, whichever is decoded last

function decoded(blob) {
  return createImageBitmap(blob, { imageOrientation: 'from-image' });
}

export async function openPhoto(blob, name) {
  stopCamera();
  view.message('');
  const turn = ++opened;
  let bitmap;
  try {
    bitmap = await decoded(blob);
  } catch {
    if (turn !== opened) return;
    view.message('This file is not a picture that the browser can read. Try JPEG or PNG.');
    return;
  }
  if (turn !== opened) {
    bitmap.close();
    return;
  }
  work.photo = { blob, name, height: bitmap.height, width: bitmap.width };
  controls.offerSizes(work.photo);
  await show(bitmap);
  if (controls.mode() === 'paint') await request('paint');
}

// The photo alone, after the camera or another kind of result.
export async function showAgain() {
  const { photo } = work;
  if (!photo) return;
  controls.offerSizes(photo); // the camera's are others
  const bitmap = await decoded(photo.blob);
  if (work.photo === photo) await show(bitmap);
  if (controls.mode() === 'paint') request('paint');
}

async function show(bitmap) {
  keep(undefined);
  const scale = Math.min(1, SHOWN / Math.max(bitmap.width, bitmap.height));
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: 'high',
  });
  bitmap.close();
  view.show({ before: small, after: small, state: 'photo', label: 'The photo' });
  describeEnlarged();
}

export function openFile(file) {
  if (!file) return;
  mark(null);
  openPhoto(file, file.name || 'picture.png');
}

export async function openSample(index) {
  const { file, name } = site.samples[index];
  mark(samples.children[index]);
  await openPhoto(await (await fetch(file)).blob(), `${name}.jpg`);
}

function mark(button) {
  for (const other of samples.children) {
    other.setAttribute('aria-pressed', String(other === button));
  }
}

export function addSamples() {
  site.samples.forEach((sample, i) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-pressed', 'false');
    const image = document.createElement('img');
    image.src = sample.file;
    image.alt = sample.title;
    button.append(image);
    button.addEventListener('click', () => openSample(i));
    samples.append(button);
  });
}
