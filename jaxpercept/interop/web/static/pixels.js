// Arithmetic on pictures, as the command line does it: pure functions, no DOM.
// Pictures are RGBA bytes, row by row; what a net takes and gives is a Float32Array of RGB in [0, 1].

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

// What a net sees: the picture as floats, with faint noise under it and then rounded to 8 bits, as
// images.grain of the command line does it.
export function grain(bytes, amount, generator) {
  if (!amount) return floats(bytes);
  const random = new Pcg64(generator);
  const width = Math.fround(255 * amount * Math.sqrt(12));
  const shift = Math.fround(0.5 - Math.fround(width / 2));
  const out = new Float32Array((bytes.length / 4) * 3);
  for (let i = 0, o = 0; i < bytes.length; i += 4) {
    for (let c = 0; c < 3; c++, o++) {
      const noise = Math.fround(Math.fround(random.random() * width) + shift);
      const noisy = Math.fround(noise + bytes[i + c]);
      out[o] = Math.floor(Math.min(Math.max(noisy, 0), 255)) / 255;
    }
  }
  return out;
}

export function byte(x) {
  return Math.floor(Math.min(Math.max(x, 0), 1) * 255 + 0.5);
}

// The picture to show for a net's output, which is floats or, once enlarged, RGBA bytes: the
// content's colours if asked for, then the mixture, with the content's transparency.
export function controlled(output, content, { strength, keepColours }) {
  const [step, unit] = output instanceof Float32Array ? [3, 1] : [4, 1 / 255];
  const out = new Uint8ClampedArray(content.length);
  for (let i = 0, o = 0; i < out.length; i += 4, o += step) {
    let luma = 0;
    if (keepColours) {
      for (let c = 0; c < 3; c++) luma += (output[o + c] * unit - content[i + c] / 255) * LUMA[c];
    }
    for (let c = 0; c < 3; c++) {
      const below = content[i + c] / 255;
      const painted = keepColours
        ? Math.min(Math.max(below + luma, 0), 1)
        : output[o + c] * unit;
      out[i + c] = byte((1 - strength) * below + strength * painted);
    }
    out[i + 3] = content[i + 3];
  }
  return out;
}

// RGBA bytes of a net's output, rounded to nearest.
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
