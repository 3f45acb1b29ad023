// Runtime and nets in the worker: which back end, loading with progress, running.

export class Refusal extends Error {} // shown to the visitor as it is

let site;
let ort;
let backend;
const sessions = new Map(); // the two nets used last: a style's and one that enlarges

export const now = () => performance.now();

// One of the runtime's files or a net, with progress: {loaded, total} in bytes.
async function download(url, progress) {
  const response = await fetch(url);
  if (!response.ok) throw new Refusal(`${url} cannot be loaded (${response.status}).`);
  const total = site.bytes[url];
  const out = new Uint8Array(total);
  const reader = response.body.getReader();
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (loaded + value.length > total) throw new Refusal(`${url} is not what this page expects.`);
    out.set(value, loaded);
    loaded += value.length;
    progress({ step: 'download', loaded, total });
  }
  return out;
}

// WebGPU where a real adapter is, unless `wanted` says which.
async function chooseBackend(wanted) {
  if (wanted === 'wasm' || !site.runtime.webgpu) return 'wasm';
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (wanted === 'webgpu' && adapter) return 'webgpu';
  return adapter && !adapter.info?.isFallbackAdapter ? 'webgpu' : 'wasm';
}

export async function start({ manifest, wanted, threads }, progress) {
  site = manifest;
  backend = await chooseBackend(wanted);
  const files = site.runtime[backend];
  const begun = now();
  const [module, wasmBinary] = await Promise.all([
    import(new URL(files.script, self.location.href).href),
    download(files.wasm, progress),
  ]);
  ort = module;
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = backend === 'webgpu' ? 1 : threads;
  ort.env.wasm.wasmPaths = { mjs: new URL(files.loader, self.location.href).href };
  ort.env.wasm.wasmBinary = wasmBinary.buffer;
  return { backend, threads: ort.env.wasm.numThreads, downloadMs: now() - begun };
}

// A net, ready to run. What it took is added to `times`.
export async function sessionOf(net, progress, times = {}) {
  const session = sessions.get(net) ?? (await load(net, progress, times));
  sessions.delete(net); // so that the last one used comes last
  sessions.set(net, session);
  return session;
}

async function load(net, progress, times) {
  for (const [name, old] of sessions) {
    if (sessions.size < 2) break;
    await old.release();
    sessions.delete(name);
  }
  const begun = now();
  const data = await download(net, progress);
  const loaded = now();
  progress({ step: 'compile' });
  const session = await ort.InferenceSession.create(data, {
    executionProviders: [backend],
    logSeverityLevel: 3, // errors; that shapes are computed on the CPU is none
  });
  times.netMs = (times.netMs ?? 0) + loaded - begun;
  times.compileMs = (times.compileMs ?? 0) + now() - loaded;
  return session;
}

// The net's output for one picture: {data, height, width}.
export async function run(session, picture, [height, width], blend) {
  const feeds = { image: new ort.Tensor('float32', picture, [1, height, width, 3]) };
  if (blend) feeds.blend = new ort.Tensor('float32', Float32Array.from(blend), [blend.length]);
  const { output } = await session.run(feeds);
  const data = await output.getData();
  const [, outHeight, outWidth] = output.dims;
  output.dispose();
  return { data, height: outHeight, width: outWidth };
}
