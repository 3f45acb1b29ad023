// The result as a file.

import * as controls from './controls.js';
import * as view from './view.js';
import { site, work } from './work.js';

const at = (id) => document.getElementById(id);

// Keeps the result, ImageData or undefined, for saving.
export function keep(pixels) {
  work.pixels = pixels;
  at('png').disabled = at('jpeg').disabled = !pixels;
}

export async function save(type, suffix) {
  let blob;
  try {
    ({ blob } = await work.engine.ask('encode', { pixels: work.pixels, type }));
  } catch (error) {
    view.message(`The picture could not be saved: ${error.message}`);
    return;
  }
  const stem = work.photo.name.replace(/\.[^.]*$/, '');
  const made = controls.mode() === 'enlarge' ? 'enlarged' : controls.style(site).name;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${stem}_${made}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
