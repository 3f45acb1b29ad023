// The controls, made from what the site holds, and what they are set to.

import { LARGEST_RESULT } from './scaling.js';

const at = (id) => document.getElementById(id);
const LONGEST = [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];
let wantedLong = 512; // what the visitor chose last, for photos where it is to be had
const LIVE = [128, 192, 256, 384, 512];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function picture(of) {
  return element('img', { src: of.picture, alt: '', loading: 'lazy' });
}

// Makes the controls; `changed(what)` is told "net", "finish", "size", "mode".
export function build(site, changed) {
  site.styles.forEach((style, i) => {
    const face = style.blend
      ? element('span', { className: 'mosaic' }, ...style.blend.slice(0, 9).map(picture))
      : picture(style);
    const input = element('input', {
      type: 'radio',
      name: 'style',
      value: style.name,
      checked: i === 0,
    });
    const tile = element('label', { className: 'tile' }, input, face, style.title);
    input.addEventListener('change', () => {
      describeStyle(site, changed);
      changed('net');
    });
    at('styles').append(tile);
  });
  describeStyle(site, changed);
  at('strength').addEventListener('input', ({ target }) => {
    at('strength-value').textContent = `${target.value} %`;
    changed('finish');
  });
  at('colours').addEventListener('change', () => changed('finish'));
  at('size').addEventListener('change', () => {
    if (at('size').dataset.kind === 'photo') wantedLong = long();
    changed('size');
  });
  at('stroke').addEventListener('change', () => changed('stroke'));
  for (const input of document.getElementsByName('mode')) {
    input.addEventListener('change', () => {
      at('painting').hidden = mode() !== 'paint';
      at('enlarging').hidden = mode() !== 'enlarge';
      changed('mode');
    });
  }
  site.enlarge.forEach(({ scale }, i) => {
    const input = element('input', {
      type: 'radio',
      name: 'factor',
      value: scale,
      checked: i === site.enlarge.length - 1,
    });
    input.addEventListener('change', () => changed('factor'));
    at('factors').append(element('label', {}, input, element('span', {}, `×${scale}`)));
  });
}

function chosen(name) {
  return document.querySelector(`input[name="${name}"]:checked`)?.value;
}

function describeStyle(site, changed) {
  const { blend, credit } = style(site);
  at('credit').textContent = credit ? `After ${credit}` : '';
  at('credit').hidden = !credit;
  at('blend').hidden = !blend;
  const made = at('sliders').dataset.of;
  if (!blend || made === chosen('style')) return;
  at('sliders').dataset.of = chosen('style');
  at('sliders').replaceChildren(
    ...blend.map((part, i) => {
      const value = i < 2 ? 50 : 0;
      const input = element('input', { type: 'range', min: 0, max: 100, value, id: `mix-${i}` });
      const shown = element('output', { id: `mix-${i}-value` }, String(value));
      shown.htmlFor.add(input.id);
      input.addEventListener('input', () => {
        shown.textContent = input.value;
        changed('net');
      });
      const title = `Only ${part.title}`;
      const only = element('button', { type: 'button', title, ariaLabel: title }, picture(part));
      only.addEventListener('click', () => {
        blend.forEach((_, k) => {
          at(`mix-${k}`).value = k === i ? 100 : 0;
          at(`mix-${k}-value`).textContent = at(`mix-${k}`).value;
        });
        changed('net');
      });
      const label = element('label', { htmlFor: input.id }, part.title);
      return element('div', { className: 'slider' }, only, label, input, shown);
    }),
  );
}

export function mode() {
  return chosen('mode');
}

export function style(site) {
  return site.styles.find(({ name }) => name === chosen('style'));
}

export function factor(site) {
  return site.enlarge.find(({ scale }) => String(scale) === chosen('factor'));
}

// The weights of the styles, undefined for a net of one; equal ones where all are 0.
export function blend(site) {
  const parts = style(site).blend;
  if (!parts) return undefined;
  const weights = parts.map((_, i) => Number(at(`mix-${i}`).value));
  return weights.some(Boolean) ? weights : weights.map(() => 1);
}

export function finishing() {
  return { strength: Number(at('strength').value) / 100, keepColours: at('colours').checked };
}

// The longer side to paint at; 0 for the photo's own size.
export function long() {
  return Number(at('size').value);
}

// How much larger strokes are to be than the net paints them; null for what suits the size.
export function stroke() {
  return Number(at('stroke').value) || null;
}

// Offers the sizes for a photo, its own for reading only where that is too large for a browser, and
// chooses what the visitor wants, or else the largest.
export function offerSizes({ height, width }) {
  const side = Math.max(height, width);
  const fits = (s) => (height * width * s * s) / (side * side) <= LARGEST_RESULT;
  const options = LONGEST.filter((s) => s < side && fits(s)).map((s) => option(s, `${s} pixels`));
  const tooLarge = !fits(side);
  const original = option(0, `Original, ${width} × ${height}${tooLarge ? ' (too large here)' : ''}`);
  original.disabled = tooLarge;
  at('size').replaceChildren(...options, original);
  const kept = [...at('size').options].find((o) => Number(o.value) === wantedLong && !o.disabled);
  const enabled = [...at('size').options].filter((o) => !o.disabled);
  (kept ?? enabled.at(-1) ?? original).selected = true;
  at('size').dataset.kind = 'photo';
}

export function offerLiveSizes(preferred) {
  at('size').replaceChildren(...LIVE.map((s) => option(s, `${s} pixels`)));
  at('size').value = preferred;
  at('size').dataset.kind = 'live';
}

function option(value, text) {
  return element('option', { value, textContent: text });
}
