// What the user chose: offered by the server and the browser, remembered here, and as the session that it asks for.
import { glossaryRows } from './glossary.js';
import { drawTargets, heardTarget, offerTargets, spokenTargets, targets } from './targets.js';
import { direction } from './transcript.js';

const $ = id => document.getElementById(id);
const REMEMBERED = ['from', 'to', 'microphone', 'speaker', 'echo', 'voice', 'voice-name', 'glossary', 'same-language', 'size', 'aloud', 'translation'];
const HINTS = {
  microphone: 'Press Start and talk. Headphones keep the translation out of the microphone.',
  tab: 'Press Start, choose a tab, and switch on “Also share tab audio”.',
  file: 'Choose a recording or drop it here, then press Start: it plays while it is translated.',
};
let offered = { from: [], to: [], spoken: [], names: {}, default: '' };
let spoken = '', link = '/captions.html';

export const input = () => document.querySelector('[name=input]:checked').value;
export const nameOf = code => offered.names[code] || code;

export function restore() {
  for (const id of REMEMBERED) {
    const value = localStorage.getItem(`translate-live.${id}`), control = $(id);
    if (value === null) continue;
    if (control.type === 'checkbox') control.checked = value === 'true';
    else if (control.tagName !== 'SELECT' || [...control.options].some(option => option.value === value)) control.value = value;
  }
}

export function remember({ target }) {
  if (REMEMBERED.includes(target.id)) localStorage.setItem(`translate-live.${target.id}`, target.type === 'checkbox' ? target.checked : target.value);
}

export async function languages() {
  const answer = await fetch('/v1/languages');
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  offered = await answer.json();
  const byName = codes => [...codes].sort((one, other) => nameOf(one).localeCompare(nameOf(other)));
  const heard = byName(offered.from).map(code => new Option(nameOf(code), code));
  $('from').replaceChildren(...(heard.length > 1 ? [new Option('Any language', '')] : []), ...heard);
  $('to').replaceChildren(...byName(offered.to).map(code => new Option(nameOf(code) + (offered.spoken.includes(code) ? '' : ' (captions only)'), code)));
  $('to').value = offered.default;
  $('voices').replaceChildren(...[...await enrolled(), ...offered.presets ?? []].map(name => new Option(name)));
  restore();
  const wanted = { from: new URLSearchParams(location.search).get('from'), to: offerTargets(offered) };
  for (const id of ['from', 'to']) if ([...$(id).options].some(option => option.value === wanted[id])) $(id).value = wanted[id];
}

// Voices that were enrolled with this key.
export async function enrolled() {
  const answer = await fetch('/v1/voices').catch(() => null);
  return answer?.ok ? (await answer.json()).data.map(voice => voice.name) : [];
}

export async function devices() {
  const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
  for (const [id, kind] of [['microphone', 'audioinput'], ['speaker', 'audiooutput']]) {
    const { value } = $(id), found = all.filter(device => device.kind === kind && device.deviceId && device.deviceId !== 'default');
    $(id).replaceChildren(new Option('System default', ''), ...found.map((device, at) => new Option(device.label || `${id} ${at + 1}`, device.deviceId)));
    const wanted = value || localStorage.getItem(`translate-live.${id}`);
    if ([...$(id).options].some(option => option.value === wanted)) $(id).value = wanted;
  }
}

export function session() {
  const voice = $('voice').value === 'named' ? $('voice-name').value.trim() : $('voice').value;
  const spoken = spokenTargets(), glossary = glossaryRows($('glossary').value, targets().length > 1 ? $('to').value : '');
  return {
    audio: { output: { language: spoken[0] ?? $('to').value }, input: { transcription: { model: 'local' } } },
    translate_live: {
      targets: targets(), spoken, silent: spoken.filter(code => code !== heardTarget()),
      source: $('from').value, voice, consent: $('consent').checked, glossary, same_language: $('same-language').value,
      speakers: $('speakers').checked ? 'auto' : 'off',
    },
  };
}

// The language that is heard, where any may be.
export function detected(code) {
  if (code === spoken) return;
  spoken = code;
  showChoices();
}

// Show what the choices mean.
export function showChoices() {
  const target = heardTarget(), kind = input();
  $('source-name').textContent = nameOf($('from').value || spoken) || 'Original';
  drawTargets();
  $('announce').lang = target;
  $('announce').dir = direction(target);
  $('file').hidden = kind !== 'file';
  $('watch-choice').hidden = kind !== 'tab' || !offered.vision;
  $('hint').textContent = HINTS[kind];
  $('voice-name-label').hidden = $('voice').value !== 'named';
  $('consent-label').hidden = $('voice').value !== 'same';
  document.documentElement.style.setProperty('--size', `${$('size').value}rem`);
  showLink();
}

function showLink() {
  const address = new URL(link, location.href);
  address.searchParams.set('languages', targets().join(','));
  address.searchParams.set('lines', 2);
  address.searchParams.set('size', 48);
  $('overlay').value = address.href;
}

export async function overlay() {
  const answer = await fetch('/captions/links', { method: 'POST' }).catch(() => null);
  if (answer?.ok) ({ url: link } = await answer.json());
  showLink();
}
