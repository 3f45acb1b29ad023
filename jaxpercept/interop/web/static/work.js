// What the page works on, and the engine that computes: one job at a time, whose progress,
// cancelling and errors are shown.

import { Camera } from './camera.js';
import * as controls from './controls.js';
import { Engine } from './engine.js';
import * as view from './view.js';

export const site = await (await fetch('site.json')).json();
export const camera = new Camera();
export const work = {
  engine: undefined,
  photo: undefined, // {blob, name, height, width}
  pixels: undefined, // ImageData of the result, at its full size
  wanted: new Set(), // what is to be done: "paint", "finish"
  busy: false, // a job runs, and can be cancelled
};
let held = {}; // the photo that a worker holds, and the start of that worker

export function newEngine(backend) {
  work.engine?.stop();
  work.engine = new Engine(site, { wanted: backend });
  view.forgetSpeed();
}

// Opens the photo in the worker, if this worker does not hold it yet.
export async function handOver() {
  const { engine } = work;
  await engine.ready(view.report);
  const { photo } = work;
  const { started } = engine;
  if (held.started === started && held.photo === photo) return;
  await engine.ask('open', { blob: photo.blob });
  held = { started, photo };
}

// Runs one piece of work, which can be cancelled meanwhile.
export async function job(run) {
  work.busy = true;
  view.busy(true);
  try {
    await run();
  } catch (error) {
    await failed(error);
  } finally {
    work.busy = false;
    view.busy(false);
  }
}

export async function failed(error) {
  const { engine } = work;
  if (error.name === 'AbortError') {
    view.status('Cancelled.');
  } else if (error.refused) {
    view.message(error.message);
  } else if (engine.about?.backend === 'webgpu') {
    newEngine('wasm');
    const again = controls.mode() === 'enlarge' ? ' Press Enlarge again.' : '';
    view.message(`WebGPU failed on this device; the page goes on with WebAssembly.${again}`);
    work.wanted.add('paint');
  } else {
    newEngine(engine.wanted); // what went wrong, memory most likely, leaves a runtime unusable
    view.message(`This did not work: ${error.message}`);
  }
}

export function cancel() {
  if (!work.busy) return;
  work.wanted = new Set();
  work.engine.stop();
}

export function backendName() {
  const { backend, threads } = work.engine.about;
  if (backend === 'webgpu') return 'WebGPU';
  return `WebAssembly, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}
