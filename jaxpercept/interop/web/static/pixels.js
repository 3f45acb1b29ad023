// Arithmetic on pictures, as the command line does it: pure functions, no DOM.
// A picture is a Float32Array of RGB in [0, 1], row by row, unless it says otherwise.

const LUMA = [0.299, 0.587, 0.114]; // BT.601

// The generator of numpy.random.default_rng(seed): PCG64 with 128 bits of state, in limbs of 16.
export class Pcg64 {
  static MULTIPLIER = limbs('2360ed051fc65da44385df649fccf645');

  constructor({ state, inc }) {
    this.state = limbs(state);
    this.inc = limbs(inc);
    this.next = new Float64Array(8);
    this.high = null; // the upper half of the last 64 bits, until it is used
  }

  // 32 bits: the lower half of each output first, then the upper, as NumPy has it.
  bits() {
    if (this.high !== null) {
      const high = this.high;
      this.high = null;
      return high;
    }
    const { state, inc, next } = this;
    const by = Pcg64.MULTIPLIER;
    let carry = 0;
    for (let k = 0; k < 8; k++) {
      let sum = carry + inc[k];
      for (let j = 0; j <= k; j++) sum += state[j] * by[k - j];
      next[k] = sum & 0xffff;
      carry = (sum - next[k]) / 65536;
    }
    this.next = state;
    this.state = next;
    let low = (next[0] ^ next[4]) | ((next[1] ^ next[5]) << 16);
    let high = (next[2] ^ next[6]) | ((next[3] ^ next[7]) << 16);
    const turn = next[7] >>> 10;
    if (turn & 32) [low, high] = [high, low];
    const by32 = turn & 31;
    if (by32) {
      [low, high] = [
        (low >>> by32) | (high << (32 - by32)),
        (high >>> by32) | (low << (32 - by32)),
      ];
    }
    this.high = high >>> 0;
    return low >>> 0;
  }

  // As Generator.random(dtype=float32).
  random() {
    return (this.bits() >>> 8) / 16777216;
  }
}

function limbs(hex) {
  const digits = hex.padStart(32, '0');
  return Float64Array.from({ length: 8 }, (_, i) =>
    parseInt(digits.slice(28 - 4 * i, 32 - 4 * i), 16),
  );
}

// The picture with faint noise under it, rounded to 8 bits: images.grain of the command line.
export function grain(picture, { amount, state, inc }) {
  if (!amount) return picture;
  const random = new Pcg64({ state, inc });
  const width = Math.fround(255 * amount * Math.sqrt(12));
  const shift = Math.fround(0.5 - Math.fround(width / 2));
  const out = new Float32Array(picture.length);
  for (let i = 0; i < out.length; i++) {
    const noise = Math.fround(Math.fround(random.random() * width) + shift);
    const noisy = Math.fround(noise + byte(picture[i]));
    out[i] = Math.floor(Math.min(Math.max(noisy, 0), 255)) / 255;
  }
  return out;
}

function byte(x) {
  return Math.floor(Math.min(Math.max(x, 0), 1) * 255 + 0.5);
}

// What becomes of a net's output: the content's colours if asked for, then the mixture.
export function controlled(output, content, { strength, keepColours }) {
  const out = new Float32Array(output.length);
  for (let i = 0; i < out.length; i += 3) {
    let luma = 0;
    if (keepColours) {
      for (let c = 0; c < 3; c++) luma += (output[i + c] - content[i + c]) * LUMA[c];
    }
    for (let c = 0; c < 3; c++) {
      const painted = keepColours
        ? Math.min(Math.max(content[i + c] + luma, 0), 1)
        : output[i + c];
      out[i + c] = (1 - strength) * content[i + c] + strength * painted;
    }
  }
  return out;
}

// RGBA bytes, rounded to nearest, for a canvas.
export function rgba(picture) {
  const out = new Uint8ClampedArray((picture.length / 3) * 4);
  for (let i = 0, o = 0; i < picture.length; i += 3, o += 4) {
    out[o] = byte(picture[i]);
    out[o + 1] = byte(picture[i + 1]);
    out[o + 2] = byte(picture[i + 2]);
    out[o + 3] = 255;
  }
  return out;
}

// RGB floats of RGBA bytes.
export function floats(bytes) {
  const out = new Float32Array((bytes.length / 4) * 3);
  for (let i = 0, o = 0; i < bytes.length; i += 4, o += 3) {
    out[o] = bytes[i] / 255;
    out[o + 1] = bytes[i + 1] / 255;
    out[o + 2] = bytes[i + 2] / 255;
  }
  return out;
}

// [height, width] in proportion, so that the longer side is `long`; no side below 1.
export function fit(height, width, long) {
  const side = Math.max(height, width);
  return [height, width].map((x) => Math.max(1, roundHalfEven((x * long) / side)));
}

function roundHalfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

// Pillow's Lanczos filter, antialiased. `rows(top, count)` gives RGBA bytes of the source, which is
// read in strips, so that a large one is never held as floats.
export function resized(rows, [height, width], [newHeight, newWidth]) {
  const strip = 128;
  if (height === newHeight && width === newWidth) {
    const out = new Float32Array(height * width * 3);
    for (let top = 0; top < height; top += strip) {
      out.set(floats(rows(top, Math.min(strip, height - top))), top * width * 3);
    }
    return out;
  }
  const across = taps(width, newWidth);
  const down = taps(height, newHeight);
  const line = newWidth * 3;
  const narrow = new Float32Array(height * line);
  for (let top = 0; top < height; top += strip) {
    const count = Math.min(strip, height - top);
    const bytes = rows(top, count);
    for (let y = 0; y < count; y++) {
      for (let x = 0; x < newWidth; x++) {
        const { start, weights } = across[x];
        let [r, g, b] = [0, 0, 0];
        for (let k = 0, i = (y * width + start) * 4; k < weights.length; k++, i += 4) {
          r += bytes[i] * weights[k];
          g += bytes[i + 1] * weights[k];
          b += bytes[i + 2] * weights[k];
        }
        const o = (top + y) * line + x * 3;
        narrow[o] = r / 255;
        narrow[o + 1] = g / 255;
        narrow[o + 2] = b / 255;
      }
    }
  }
  const out = new Float32Array(newHeight * line);
  const sums = new Float64Array(line);
  for (let y = 0; y < newHeight; y++) {
    const { start, weights } = down[y];
    sums.fill(0);
    for (let k = 0; k < weights.length; k++) {
      const from = (start + k) * line;
      for (let i = 0; i < line; i++) sums[i] += narrow[from + i] * weights[k];
    }
    for (let i = 0; i < line; i++) out[y * line + i] = Math.min(Math.max(sums[i], 0), 1);
  }
  return out;
}

function taps(size, newSize) {
  const scale = size / newSize;
  const stretch = Math.max(scale, 1);
  const support = 3 * stretch;
  return Array.from({ length: newSize }, (_, x) => {
    const centre = (x + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - start }, (_, k) =>
      lanczos((k + start - centre + 0.5) / stretch),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((w) => w / sum) };
  });
}

function lanczos(x) {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

// Tiles of one axis: what each is good for, [first, end), and [start, start + length), what the net
// sees for it.
export function tiles(size, tile, overlap) {
  const length = Math.min(size, tile + 2 * overlap);
  const found = [];
  for (let first = 0; first < size; first += tile) {
    const start = Math.min(Math.max(first - overlap, 0), size - length);
    found.push({ first, end: Math.min(first + tile, size), start, length });
  }
  return found;
}
