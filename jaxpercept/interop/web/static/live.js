// The camera's frames, painted as they come.

import * as controls from './controls.js';
import { keep } from './saving.js';
import * as view from './view.js';
import { backendName, camera, failed, job, site, work } from './work.js';

const SIZES = { wasm: 192, light: 256, webgpu: 384 }; // the longer sides to begin with
const at = (id) => document.getElementById(id);

export async function startCamera() {
  view.message('');
  at('camera').disabled = true; // a second click would start a second stream
  try {
    await camera.start();
  } catch (error) {
    camera.stop();
    view.message(
      error.name === 'NotAllowedError'
        ? 'The browser was not allowed to use the camera.'
        : `The camera cannot be used: ${error.message}`,
    );
    return;
  } finally {
    at('camera').disabled = false;
  }
  at('camera').textContent = 'Stop the camera';
  at('snap').hidden = false;
  await job(() => work.engine.ready(view.report));
  const backend = work.engine.about?.backend ?? 'wasm';
  const style = controls.style(site);
  controls.offerLiveSizes(SIZES[netFor(style) === style ? backend : 'light']);
  view.name('Live');
  await paintFrames();
}

// WebAssembly needs a light net to keep up with a camera.
function netFor(style) {
  return (work.engine.about?.backend !== 'webgpu' && style.light) || style;
}

async function paintFrames() {
  let average;
  keep(undefined);
  while (camera.on) {
    const begun = performance.now();
    const style = controls.style(site);
    const { net, grain, least } = netFor(style);
    const long = Math.max(controls.long(), least);
    const given = { net, grain, blend: controls.blend(site), ...controls.finishing() };
    try {
      const frame = { ...given, ...camera.frame(long) };
      const { after } = await work.engine.ask('frame', frame, () => {});
      if (!camera.on) break;
      view.show({ after, state: 'live', label: `The camera in the style ${style.title}` });
    } catch (error) {
      stopCamera();
      if (work.photo) controls.offerSizes(work.photo);
      await failed(error);
      break;
    }
    const spent = performance.now() - begun;
    average = average === undefined ? spent : 0.8 * average + 0.2 * spent;
    view.status(`${backendName()} · ${(1000 / average).toFixed(1)} frames/s`);
  }
}

export function stopCamera() {
  if (!camera.on) return;
  camera.stop();
  at('camera').textContent = 'Camera';
  at('snap').hidden = true;
}
