// The page: what happens when a control moves, a file is dropped, a button is pressed.

import * as controls from './controls.js';
import { isolated } from './isolation.js';
import { startCamera, stopCamera } from './live.js';
import { addSamples, openFile, openPhoto, openSample, showAgain } from './photos.js';
import { describeEnlarged, enlarge, request } from './results.js';
import { save } from './saving.js';
import * as view from './view.js';
import { camera, cancel, newEngine, site, work } from './work.js';

const at = (id) => document.getElementById(id);

function changed(what) {
  if (what === 'mode') {
    if (controls.mode() === 'enlarge') stopCamera();
    view.message('');
    showAgain();
  } else if (what === 'factor') describeEnlarged();
  else if (what === 'finish') request('finish');
  else request('paint');
}

function listen() {
  at('file').addEventListener('change', ({ target }) => {
    openFile(target.files[0]);
    target.value = '';
  });
  at('enlarge').addEventListener('click', enlarge);
  at('cancel').addEventListener('click', cancel);
  at('png').addEventListener('click', () => save('image/png', 'png'));
  at('jpeg').addEventListener('click', () => save('image/jpeg', 'jpg'));
  at('camera').addEventListener('click', async () => {
    if (!camera.on) await startCamera();
    else {
      stopCamera();
      if (work.photo) await openPhoto(work.photo.blob, work.photo.name);
    }
  });
  at('snap').addEventListener('click', async () => {
    openPhoto(await camera.photo(), 'camera.png');
  });
  at('backend').addEventListener('change', ({ target }) => {
    newEngine(target.value);
    request('paint');
  });
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && cancel());
  document.addEventListener('paste', ({ clipboardData }) => openFile(clipboardData.files[0]));
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove('dragging');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    openFile(event.dataTransfer.files[0]);
  });
}

controls.build(site, changed);
addSamples();
await isolated();
const asked = new URLSearchParams(location.search).get('backend');
at('backend').value = ['wasm', 'webgpu'].includes(asked) ? asked : 'auto';
newEngine(at('backend').value);
listen();
view.status('Ready.');
await openSample(0);
