// What transparency asks for: pure functions of RGBA bytes, no DOM.

import { byte } from './pixels.js';
import { roundHalfEven } from './scaling.js';

// Lays RGBA bytes over white, in place.
export function overWhite(bytes) {
  for (let i = 0; i < bytes.length; i += 4) {
    const opacity = bytes[i + 3] / 255;
    if (opacity === 1) continue;
    for (let c = 0; c < 3; c++) bytes[i + c] = byte((bytes[i + c] / 255) * opacity + 1 - opacity);
    bytes[i + 3] = 255;
  }
  return bytes;
}

export function isTransparent(bytes) {
  for (let i = 3; i < bytes.length; i += 4) if (bytes[i] < 255) return true;
  return false;
}

// Gives fully transparent pixels the colours of the nearest opaque ones, in place: images.bled of
// the command line. Averages of ever larger squares are made, until each square has one.
export function bled(bytes, height, width) {
  let hidden = 0;
  for (let i = 3; i < bytes.length; i += 4) hidden += bytes[i] === 0;
  if (!hidden || hidden === height * width) return bytes;
  const levels = [halved(height, width, (i) => (bytes[4 * i + 3] ? 1 : 0), bytes)];
  while (levels.at(-1).sums.some((x, i) => i % 4 === 3 && x === 0)) {
    const { height: h, width: w, sums } = levels.at(-1);
    levels.push(halved(h, w, (i) => sums[4 * i + 3], sums));
  }
  for (let k = levels.length - 1; k >= 0; k--) filled(levels[k], levels[k + 1]);
  const { sums: colours, width: wide } = levels[0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = 4 * (y * width + x);
      if (bytes[i + 3]) continue;
      const from = 4 * ((y >> 1) * wide + (x >> 1));
      for (let c = 0; c < 3; c++) bytes[i + c] = roundHalfEven(colours[from + c]);
    }
  }
  return bytes;
}

// Sums of 2×2 pixels: red, green, blue and `weight`, of those that have a weight.
function halved(height, width, weight, values) {
  const [h, w] = [(height + 1) >> 1, (width + 1) >> 1];
  const sums = new Float32Array(h * w * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = y * width + x;
      const share = weight(from);
      if (!share) continue;
      const to = 4 * ((y >> 1) * w + (x >> 1));
      for (let c = 0; c < 3; c++) sums[to + c] += values[4 * from + c];
      sums[to + 3] += share;
    }
  }
  return { height: h, width: w, sums };
}

// Makes a level's sums averages; squares without one take it from the level above.
function filled({ height, width, sums }, above) {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = 4 * (y * width + x);
      const weight = sums[i + 3];
      const from = weight ? i : 4 * ((y >> 1) * above.width + (x >> 1));
      const colours = weight ? sums : above.sums;
      for (let c = 0; c < 3; c++) sums[i + c] = colours[from + c] / (weight || 1);
    }
  }
}
