// Sizes, resampling and tiles, as the command line does them: pure functions, no DOM. Pictures are
// RGBA bytes, row by row; a size is [height, width].

// [height, width] in proportion, so that the longer side is `long`; no side below 1.
export function fit(height, width, long) {
  const side = Math.max(height, width);
  return [height, width].map((x) => Math.max(1, roundHalfEven((x * long) / side)));
}

export function roundHalfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

// The size at which a net sees a picture, so that its strokes are `stroke` times as large as it
// paints them; null for `auto`, which leaves the shorter side `least` pixels. As inference.strokes
// of the command line.
export function seenSize(stroke, height, width, { seen, alone, most }, least = 1) {
  const longer = Math.max(height, width);
  const auto = longer > alone * seen ? Math.min(longer / seen, most) : 1;
  const own = Math.max(1, Math.min(auto, Math.min(height, width) / least));
  return fit(height, width, Math.max(1, roundHalfEven(longer / (stroke ?? own))));
}

export const LARGEST_RESULT = 40e6; // pixels that a browser is trusted with here
const BITS = 22; // of the fraction of a filter's weights

// Pillow's antialiased filters in 8 bits, across and then down, to the bit (Pillow 13 takes pictures
// more than twice as high as wide down first). Rows of bytes are added from the top, so that
// a large source is never held. `taps` gives the filter of an axis, Pillow's Lanczos or our cubic.
export class Resizer {
  constructor([height, width], [newHeight, newWidth], { channels = 4, taps = lanczosTaps } = {}) {
    this.channels = channels;
    this.across = taps(width, newWidth);
    this.down = taps(height, newHeight);
    this.row = width * channels;
    this.line = newWidth * channels;
    const Between = taps === lanczosTaps ? Uint8ClampedArray : Int16Array; // as Pillow, or unclipped
    this.narrow = new Between(height * this.line);
    this.filled = 0;
  }

  add(bytes) {
    const { channels, across, narrow } = this;
    for (let row = 0; row < bytes.length; row += this.row) {
      for (const { start, weights } of across) {
        for (let c = 0; c < channels; c++) {
          let sum = 1 << (BITS - 1);
          for (let k = 0, i = row + start * channels + c; k < weights.length; k++, i += channels) {
            sum += bytes[i] * weights[k];
          }
          narrow[this.filled++] = sum >> BITS;
        }
      }
    }
  }

  result() {
    const { down, line, narrow } = this;
    const out = new Uint8ClampedArray(down.length * line);
    const sums = new Int32Array(line);
    down.forEach(({ start, weights }, y) => {
      sums.fill(1 << (BITS - 1));
      for (let k = 0; k < weights.length; k++) {
        const from = (start + k) * line;
        for (let i = 0; i < line; i++) sums[i] += narrow[from + i] * weights[k];
      }
      for (let i = 0; i < line; i++) out[y * line + i] = sums[i] >> BITS;
    });
    return out;
  }
}

// RGBA bytes of a source that is read in strips by `rows(top, count)`, at another size. Colours
// count as much as they are opaque.
export function resized(rows, [height, width], [newHeight, newWidth]) {
  const strip = 128;
  const same = height === newHeight && width === newWidth;
  const made = same ? null : new Resizer([height, width], [newHeight, newWidth]);
  const out = same ? new Uint8ClampedArray(height * width * 4) : null;
  for (let top = 0; top < height; top += strip) {
    const bytes = rows(top, Math.min(strip, height - top));
    if (same) out.set(bytes, top * width * 4);
    else made.add(premultiplied(bytes));
  }
  return out ?? straight(made.result());
}

// RGBA bytes with the colours multiplied by opacity, and back, as Pillow rounds them.
function premultiplied(bytes) {
  const out = Uint8ClampedArray.from(bytes);
  for (let i = 0; i < out.length; i += 4) {
    if (out[i + 3] === 255) continue;
    for (let c = 0; c < 3; c++) {
      const product = out[i + c] * out[i + 3] + 128;
      out[i + c] = ((product >> 8) + product) >> 8;
    }
  }
  return out;
}

function straight(bytes) {
  for (let i = 0; i < bytes.length; i += 4) {
    const opacity = bytes[i + 3];
    if (opacity === 255 || opacity === 0) continue;
    for (let c = 0; c < 3; c++) bytes[i + c] = Math.trunc((255 * bytes[i + c]) / opacity);
  }
  return bytes;
}

function lanczosTaps(size, newSize) {
  if (size === newSize) {
    const weights = Int32Array.of(1 << BITS);
    return Array.from({ length: size }, (_, start) => ({ start, weights }));
  }
  const scale = size / newSize;
  const stretch = Math.max(scale, 1);
  const support = 3 * stretch;
  return Array.from({ length: newSize }, (_, x) => {
    const centre = (x + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: end - start }, (_, k) =>
      lanczos((k + start - centre + 0.5) * (1 / stretch)),
    );
    return { start, weights: fixed(weights) };
  });
}

// Keys' cubic, for enlarging: the border is mirrored, the border pixel twice.
export function cubicTaps(size, newSize) {
  return Array.from({ length: newSize }, (_, x) => {
    const centre = ((x + 0.5) * size) / newSize - 0.5;
    const first = Math.floor(centre) - 1;
    const mirrored = (i) => (((i < 0 ? -1 - i : i) % (2 * size)) + 2 * size) % (2 * size);
    const places = Array.from({ length: 4 }, (_, k) => {
      const at = mirrored(first + k);
      return at < size ? at : 2 * size - 1 - at;
    });
    const start = Math.min(...places);
    const weights = new Array(Math.max(...places) - start + 1).fill(0);
    places.forEach((at, k) => (weights[at - start] += cubic(first + k - centre)));
    return { start, weights: fixed(weights) };
  });
}

// Weights with sum 1, as whole numbers.
function fixed(weights) {
  const sum = weights.reduce((a, b) => a + b, 0);
  return Int32Array.from(weights, (w) => {
    const share = (w / sum) * (1 << BITS);
    return Math.trunc(share + (share < 0 ? -0.5 : 0.5));
  });
}

function cubic(x) {
  const far = Math.abs(x);
  if (far <= 1) return 1.5 * far ** 3 - 2.5 * far ** 2 + 1;
  return far <= 2 ? -0.5 * far ** 3 + 2.5 * far ** 2 - 4 * far + 2 : 0;
}

function lanczos(x) {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

// Tiles of one axis, of equal lengths up to `most`: what each is good for, [first, end), and
// [start, start + length), what the net sees for it.
export function tiles(size, most, overlap) {
  const tile = Math.ceil(size / Math.ceil(size / most));
  const length = Math.min(size, tile + 2 * overlap);
  const found = [];
  for (let first = 0; first < size; first += tile) {
    const start = Math.min(Math.max(first - overlap, 0), size - length);
    found.push({ first, end: Math.min(first + tile, size), start, length });
  }
  return found;
}
