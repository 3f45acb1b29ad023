// Enlarging by a super-resolution net in tiles. Such a net has no norm over the whole picture, so
// tiles that overlap by its reach give what the whole would.

import { run, sessionOf } from './nets.js';
import { rgba } from './pixels.js';
import { tiles } from './scaling.js';

const TILE = 320; // the most input pixels per side, without the overlap

// Enlarges RGBA bytes by `net`, {net, netScale, reach}, and hands `take` the result from the top,
// some rows at a time. A net without a reach sees the whole at once.
export async function enlarged({ net, netScale, reach }, bytes, [height, width], take, progress) {
  const session = await sessionOf(net, progress);
  const most = reach === null ? Infinity : TILE;
  const rows = tiles(height, Math.min(most, height), reach ?? 0);
  const columns = tiles(width, Math.min(most, width), reach ?? 0);
  const line = width * netScale * 4;
  let done = 0;
  for (const row of rows) {
    const band = new Uint8ClampedArray((row.end - row.first) * netScale * line);
    for (const column of columns) {
      progress({ step: 'tiles', done: done++, total: rows.length * columns.length });
      const made = await run(session, crop(bytes, width, row, column), [row.length, column.length]);
      paste(band, line, rgba(made.data), made.width * 4, row, column, netScale);
    }
    take(band);
  }
}

function crop(bytes, width, row, column) {
  const out = new Float32Array(row.length * column.length * 3);
  let o = 0;
  for (let y = row.start; y < row.start + row.length; y++) {
    for (let x = column.start; x < column.start + column.length; x++) {
      const i = (y * width + x) * 4;
      for (let c = 0; c < 3; c++) out[o++] = bytes[i + c] / 255;
    }
  }
  return out;
}

function paste(band, line, tile, tileLine, row, column, scale) {
  const left = (column.first - column.start) * scale * 4;
  const length = (column.end - column.first) * scale * 4;
  const above = (row.first - row.start) * scale;
  for (let y = 0; y < (row.end - row.first) * scale; y++) {
    const from = (above + y) * tileLine + left;
    band.set(tile.subarray(from, from + length), y * line + column.first * scale * 4);
  }
}
