// What the page shows: the two pictures with their divider, progress, messages, status.

const at = (id) => document.getElementById(id);
const stage = at('stage');
const frame = at('frame');
const progress = at('progress');
let ratio = 1; // width / height of the picture
let rate = 0; // seconds per pixel of the last run, for the bar
let parts; // when the second part of an enlargement began
let timer;

// Shows `after`, and `before` under the divider; ImageData or anything that can be drawn.
export function show({ before, after, state, label }) {
  if (before) draw(at('before'), before);
  if (after) draw(at('after'), after);
  if (label) at('after').setAttribute('aria-label', label);
  stage.dataset.state = state;
  const seen = after ?? before;
  ratio = seen.width / seen.height;
  fitFrame();
}

function draw(canvas, picture) {
  if (canvas.width !== picture.width) canvas.width = picture.width;
  if (canvas.height !== picture.height) canvas.height = picture.height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (picture instanceof ImageData) context.putImageData(picture, 0, 0);
  else {
    context.clearRect(0, 0, picture.width, picture.height);
    context.drawImage(picture, 0, 0);
  }
}

function fitFrame() {
  const tallest = Math.max(200, window.innerHeight * (window.innerWidth < 960 ? 0.58 : 0.74));
  const width = Math.min(stage.clientWidth, tallest * ratio);
  frame.style.width = `${Math.round(width)}px`;
  frame.style.height = `${Math.round(width / ratio)}px`;
}

export function name(result) {
  at('after-tag').textContent = result;
}

export function busy(is) {
  stage.setAttribute('aria-busy', String(is));
  at('overlay').hidden = !is;
  clearInterval(timer);
  if (is) activity('Preparing …');
}

function activity(text, share) {
  at('activity').textContent = text;
  if (share === undefined) progress.removeAttribute('value');
  else progress.value = 100 * share;
}

// One of the worker's progress reports.
export function report(state) {
  clearInterval(timer);
  if (state.step === 'download') {
    const mb = (bytes) => (bytes / 1e6).toFixed(1);
    activity(
      `Loading ${mb(state.loaded)} of ${mb(state.total)} MB, once`,
      state.loaded / state.total,
    );
  } else if (state.step === 'tiles') {
    enlarging(state);
  } else if (state.step === 'run') {
    running(state.pixels);
  } else {
    activity({ compile: 'Preparing the net …', photo: 'Reading the photo …' }[state.step]);
  }
}

// The parts of one picture take equally long, the first one apart.
function enlarging({ done, total }) {
  if (done < 2) parts = performance.now();
  const left = ((performance.now() - parts) / 1000 / Math.max(1, done - 1)) * (total - done);
  const about = done > 1 && left > 1.5 ? `, about ${Math.round(left)} s` : '';
  activity(`Enlarging, part ${done + 1} of ${total}${about}`, done / total);
}

// A run reports nothing in between: the bar goes by how long the last one took.
function running(pixels) {
  const expected = rate * pixels;
  if (!expected) {
    activity('Painting …');
    return;
  }
  const begun = performance.now();
  const tick = () => {
    const spent = (performance.now() - begun) / 1000;
    const left = Math.max(0, expected - spent);
    const about = left > 1.5 ? `, about ${Math.round(left)} s` : '';
    activity(`Painting …${about}`, Math.min(0.97, spent / expected));
  };
  tick();
  timer = setInterval(tick, 200);
}

export function took(seconds, pixels) {
  rate = seconds / pixels;
}

export function forgetSpeed() {
  rate = 0;
}

export function message(text) {
  at('message').textContent = text;
  at('message').hidden = !text;
}

export function status(text) {
  at('status').textContent = text;
}

at('divider').addEventListener('input', ({ target }) => {
  frame.style.setProperty('--at', `${target.value}%`);
});
new ResizeObserver(fitFrame).observe(stage);
window.addEventListener('resize', fitFrame);
