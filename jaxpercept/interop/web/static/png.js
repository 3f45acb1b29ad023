// Writes PNG of 8 bits. A canvas would round the colours of transparent pixels.

import { isTransparent } from './transparency.js';

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

// A Blob of RGBA bytes ({data, height, width}), with three channels where nothing is transparent.
export async function png({ data, height, width }) {
  const channels = isTransparent(data) ? 4 : 3;
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits
  header.setUint8(9, channels === 4 ? 6 : 2); // colours, with or without transparency
  const deflate = new CompressionStream('deflate');
  const packed = new Response(deflate.readable).arrayBuffer();
  const writer = deflate.writable.getWriter();
  let above = new Uint8Array(width * channels);
  for (let y = 0; y < height; y++) {
    const row = new Uint8Array(width * channels);
    for (let x = 0, o = 0, i = y * width * 4; x < width; x++, i += 4) {
      for (let c = 0; c < channels; c++) row[o++] = data[i + c];
    }
    await writer.write(filtered(row, above, channels));
    above = row;
  }
  await writer.close();
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', new Uint8Array(header.buffer)),
    chunk('sRGB', Uint8Array.of(0)), // perceptual
    chunk('IDAT', new Uint8Array(await packed)),
    chunk('IEND', new Uint8Array(0)),
  ];
  return new Blob(parts, { type: 'image/png' });
}

// A row as its differences to what its neighbours foretell (PNG's filter 4, Paeth's).
function filtered(row, above, step) {
  const out = new Uint8Array(row.length + 1);
  out[0] = 4;
  for (let i = 0; i < row.length; i++) {
    const left = i < step ? 0 : row[i - step];
    const up = above[i];
    const corner = i < step ? 0 : above[i - step];
    const byLeft = Math.abs(up - corner);
    const byUp = Math.abs(left - corner);
    const byCorner = Math.abs(left + up - 2 * corner);
    const foretold =
      byLeft <= byUp && byLeft <= byCorner ? left : byUp <= byCorner ? up : corner;
    out[i + 1] = row[i] - foretold;
  }
  return out;
}

function chunk(kind, body) {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  out.set([...kind].map((x) => x.charCodeAt(0)), 4);
  out.set(body, 8);
  let crc = ~0;
  for (let i = 4; i < body.length + 8; i++) crc = CRC[(crc ^ out[i]) & 255] ^ (crc >>> 8);
  view.setUint32(body.length + 8, ~crc >>> 0);
  return out;
}
