// The page: its controls, and what the session says.
import { Connection } from './connection.js';
import { glossaryRows } from './glossary.js';
import { Sound } from './sound.js';
import { direction, Transcript } from './transcript.js';

const $ = id => document.getElementById(id);
const transcript = new Transcript($('transcript'));
const REMEMBERED = ['from', 'to', 'microphone', 'speaker', 'echo', 'voice', 'voice-name', 'glossary', 'same-language', 'size', 'aloud', 'translation'];
const STATES = {
  ready: 'Ready', connecting: 'Connecting', listening: 'Listening', paused: 'Paused', waiting: 'Reconnecting', finishing: 'Finishing', done: 'Done', refused: 'Stopped',
};
const HINTS = {
  microphone: 'Press Start and talk. Headphones keep the translation out of the microphone.',
  tab: 'Press Start, choose a tab, and switch on “Also share tab audio”.',
  file: 'Choose a recording, then press Start: it plays here while it is translated.',
};
let offered = { from: [], to: [], spoken: [], names: {}, default: '' };
let sound = null, connection = null, timer = 0, link = '/captions.html';

export const stats = () => ({ ...sound?.stats, units: transcript.units.length, reconnects: connection?.reconnects ?? 0, ends: connection?.endMs ?? 0 });

const input = () => document.querySelector('[name=input]:checked').value;
const nameOf = code => offered.names[code] || code;
const icon = (button, name, text) => {
  button.querySelector('use').setAttribute('href', `icons.svg#${name}`);
  button.querySelector('span').textContent = text;
};

function alertOf(text) {
  $('alert').textContent = text;
}

// --- the choices ---

function restore() {
  for (const id of REMEMBERED) {
    const value = localStorage.getItem(`translate-live.${id}`), control = $(id);
    if (value === null) continue;
    if (control.type === 'checkbox') control.checked = value === 'true';
    else if (control.tagName !== 'SELECT' || [...control.options].some(option => option.value === value)) control.value = value;
  }
}

function remember({ target }) {
  if (REMEMBERED.includes(target.id)) localStorage.setItem(`translate-live.${target.id}`, target.type === 'checkbox' ? target.checked : target.value);
}

async function languages() {
  const answer = await fetch('/v1/languages');
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  offered = await answer.json();
  const byName = codes => [...codes].sort((one, other) => nameOf(one).localeCompare(nameOf(other)));
  const heard = byName(offered.from).map(code => new Option(nameOf(code), code));
  $('from').replaceChildren(...(heard.length > 1 ? [new Option('Any language', '')] : []), ...heard);
  $('to').replaceChildren(...byName(offered.to).map(code => new Option(nameOf(code) + (offered.spoken.includes(code) ? '' : ' (captions only)'), code)));
  $('to').value = offered.default;
  restore();
  const wanted = new URLSearchParams(location.search);
  for (const id of ['from', 'to']) if ([...$(id).options].some(option => option.value === wanted.get(id))) $(id).value = wanted.get(id);
}

async function devices() {
  const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
  for (const [id, kind] of [['microphone', 'audioinput'], ['speaker', 'audiooutput']]) {
    const { value } = $(id), found = all.filter(device => device.kind === kind && device.deviceId && device.deviceId !== 'default');
    $(id).replaceChildren(new Option('System default', ''), ...found.map((device, at) => new Option(device.label || `${id} ${at + 1}`, device.deviceId)));
    const wanted = value || localStorage.getItem(`translate-live.${id}`);
    if ([...$(id).options].some(option => option.value === wanted)) $(id).value = wanted;
  }
}

function session() {
  const voice = $('voice').value === 'named' ? $('voice-name').value.trim() : $('voice').value;
  return {
    audio: { output: { language: $('to').value }, input: { transcription: { model: 'local' } } },
    translate_live: {
      source: $('from').value, voice, consent: $('consent').checked, glossary: glossaryRows($('glossary').value), same_language: $('same-language').value,
    },
  };
}

// Show what the choices mean; a session that runs follows them.
function chosen() {
  const target = $('to').value, kind = input();
  transcript.languages($('from').value, target);
  $('source-name').textContent = $('from').value ? nameOf($('from').value) : 'Original';
  $('target-name').textContent = nameOf(target) || 'Translation';
  $('announce').lang = target;
  $('announce').dir = direction(target);
  $('file').hidden = kind !== 'file';
  $('hint').textContent = HINTS[kind];
  $('voice-name-label').hidden = $('voice').value !== 'named';
  $('consent-label').hidden = $('voice').value !== 'same';
  document.documentElement.style.setProperty('--size', `${$('size').value}rem`);
  showLink();
}

function showLink() {
  const address = new URL(link, location.href);
  address.searchParams.set('languages', $('to').value);
  address.searchParams.set('lines', 2);
  address.searchParams.set('size', 48);
  $('overlay').value = address.href;
}

async function overlay() {
  const answer = await fetch('/captions/links', { method: 'POST' }).catch(() => null);
  if (answer?.ok) ({ url: link } = await answer.json());
  showLink();
}

// --- the session ---

async function start() {
  alertOf('');
  if (!navigator.mediaDevices) return alertOf('The browser gives a microphone to secure pages only: open this one by https or as localhost.');
  const kind = input(), [file] = $('file').files;
  if (kind === 'file' && !file) return $('file').click();
  if ($('voice').value === 'same' && !$('consent').checked) {
    $('settings').showModal();
    return $('consent').focus();
  }
  transcript.clear();
  state('connecting');
  running(true);
  sound = new Sound();
  sound.levels = { translation: $('mute').ariaPressed === 'true' ? 0 : Number($('translation').value), original: Number($('original').value) };
  try {
    await sound.setSpeaker($('speaker').value).catch(() => alertOf('That speaker cannot be used; the default one is.'));
    const early = []; // blocks before the connection is there
    await sound.start({ kind, file, deviceId: $('microphone').value, echoCancellation: $('echo').checked }, pcm => (connection ? connection.append(pcm) : early.push(pcm)), stop);
    await devices();
    if (sound.stopped) throw new DOMException('', 'NotAllowedError');
    connection = new Connection(session(), heard, state);
    if ($('mute').ariaPressed === 'true') connection.control('mute');
    early.forEach(pcm => connection.append(pcm));
    timer = setInterval(tick, 100);
  } catch (error) {
    await ended();
    state('ready');
    if (error.name !== 'NotAllowedError' || kind !== 'tab') alertOf(told(error, kind));
  }
}

function told(error, kind) {
  if (error.name === 'NotAllowedError') return 'The microphone was refused. Allow it beside the address of this page, then press Start.';
  if (error.name === 'NotFoundError') return 'There is no microphone. Plug one in, or translate a tab or a file.';
  if (kind === 'file' && error.name === 'EncodingError') return 'The browser cannot read this recording; WAV, MP3, M4A, OGG and WebM work nearly everywhere.';
  return error.message;
}

function stop() {
  sound?.endInput();
  pause(false);
  connection?.finish();
}

async function ended() {
  clearInterval(timer);
  const { queuedS, context } = sound;
  connection = connection?.over ? null : connection;
  running(false);
  sound.endInput();
  setTimeout(() => context.close(), queuedS * 1000 + 500); // what is queued is still played
  $('level').style.setProperty('--level', 0);
}

function running(is) {
  icon($('start'), is ? 'stop' : 'start', is ? 'Stop' : 'Start');
  $('start').classList.toggle('running', is);
  $('start').disabled = false;
  for (const id of ['pause', 'skip']) $(id).disabled = !is;
  document.querySelectorAll('[name=input], #file').forEach(control => { control.disabled = is; });
  $('welcome').hidden = is || !transcript.empty;
  if (!is) $('lag').hidden = true;
}

function state(name, detail = '') {
  const shown = name === 'listening' && $('pause').ariaPressed === 'true' ? 'paused' : name;
  if (name === 'waiting') transcript.rewind();
  $('state').dataset.state = shown;
  $('state').textContent = STATES[shown] || STATES.refused;
  $('start').disabled = name === 'finishing';
  if (name === 'waiting' || name === 'refused') alertOf(detail);
  if (name === 'listening') alertOf('');
  if (name === 'key') {
    state('ready');
    $('login').showModal();
  }
  if (['done', 'refused', 'key'].includes(name)) queueMicrotask(ended);
}

function heard(event) {
  switch (event.type) {
    case 'session.output_audio.delta':
      return sound.play(event.delta);
    case 'translate_live.source':
      if (event.language && !$('from').value) $('source-name').textContent = nameOf(event.language);
      return transcript.heard(event);
    case 'translate_live.unit':
      return unit(event);
    case 'translate_live.tail':
      return transcript.draft(event.text);
    case 'translate_live.lag':
      return lag('voice', event.ear_voice_ms);
    case 'translate_live.flush':
      return sound.flush();
    case 'translate_live.skipped':
      return transcript.note(`not spoken: ${event.reason}`);
    case 'translate_live.gap':
      return transcript.note(`${((event.end_ms - event.start_ms) / 1000).toFixed(1)} s not heard: ${event.reason}`);
    case 'translate_live.fault':
      return alertOf(event.message);
    case 'translate_live.going_away':
      return alertOf('The server is about to go away; the session goes on with the next one.');
    case 'error':
      return alertOf(event.error.message);
  }
}

function unit(event) {
  transcript.unit(event);
  lag('text', connection.sentMs - event.end_ms);
  $('open-save').disabled = false;
  if ($('aloud').checked && event.text) {
    $('announce').append(Object.assign(document.createElement('p'), { textContent: event.text }));
    while ($('announce').childElementCount > 5) $('announce').firstElementChild.remove();
  }
}

function lag(what, ms) {
  $('lag').hidden = false;
  $(`lag-${what}`).textContent = `${what} ${(Math.max(0, ms) / 1000).toFixed(1)} s behind`;
}

function tick() {
  $('level').style.setProperty('--level', Math.min(1, Math.sqrt(sound.level(sound.inputMeter))).toFixed(2));
}

function pause(paused) {
  $('pause').ariaPressed = paused;
  icon($('pause'), paused ? 'start' : 'pause', paused ? 'Resume' : 'Pause');
  sound?.pause(paused);
  connection?.control(paused ? 'pause' : 'resume');
  if (connection?.ready) state('listening');
}

function mute(muted) {
  $('mute').ariaPressed = muted;
  icon($('mute'), muted ? 'muted' : 'sound', 'Mute');
  connection?.control(muted ? 'mute' : 'unmute');
  sound?.setLevel('translation', muted ? 0 : Number($('translation').value));
}

// --- files and keys ---

function save(name) {
  const [side, kind] = name.split('.');
  const content = kind === 'txt' ? transcript.txt() : transcript[kind](side);
  const language = side === 'text' ? $('to').value : side === 'source' ? $('from').value || 'original' : 'both';
  const address = URL.createObjectURL(new Blob([content], { type: kind === 'vtt' ? 'text/vtt' : 'text/plain' }));
  Object.assign(document.createElement('a'), { href: address, download: `translate-live-${new Date().toISOString().slice(0, 16).replace(/[T:]/g, '-')}.${language}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

async function login(event) {
  event.preventDefault();
  const answer = await fetch('/v1/tickets', { method: 'POST', headers: { authorization: `Bearer ${$('key').value}` } }).catch(() => null);
  if (!answer?.ok) {
    $('login-error').textContent = answer?.status === 401 ? 'The server does not know this key.' : 'The server cannot be reached.';
    return;
  }
  location.assign((await answer.json()).url);
}

$('start').onclick = () => (sound && !sound.stopped ? stop() : start());
$('pause').onclick = () => pause($('pause').ariaPressed !== 'true');
$('mute').onclick = () => mute($('mute').ariaPressed !== 'true');
$('skip').onclick = () => { sound.flush(); connection.control('skip_to_live'); };
$('translation').oninput = () => { if ($('mute').ariaPressed !== 'true') sound?.setLevel('translation', Number($('translation').value)); };
$('original').oninput = () => sound?.setLevel('original', Number($('original').value));
$('speaker').onchange = () => sound?.setSpeaker($('speaker').value).catch(error => alertOf(error.message));
$('open-settings').onclick = () => { overlay(); devices(); $('settings').showModal(); };
$('open-save').onclick = () => $('save').showModal();
$('save').onclick = ({ target }) => { const button = target.closest('[data-file]'); if (button) save(button.dataset.file); };
$('copy').onclick = async () => { await navigator.clipboard.writeText($('overlay').value); $('copy').textContent = 'Copied'; };
$('login-form').onsubmit = login;
$('transcript').onscroll = () => {
  const { scrollTop, scrollHeight, clientHeight } = $('transcript');
  $('follow').hidden = scrollHeight - scrollTop - clientHeight < 120;
};
$('follow').onclick = () => { $('transcript').scrollTop = $('transcript').scrollHeight; };
document.querySelectorAll('[name=input]').forEach(control => {
  control.onchange = () => {
    $('original').value = input() === 'microphone' ? 0 : 0.3;
    chosen();
  };
});
for (const dialog of document.querySelectorAll('dialog')) dialog.addEventListener('click', event => { if (event.target === dialog && dialog.id !== 'login') dialog.close(); });
document.addEventListener('change', event => {
  remember(event);
  chosen();
  if (['from', 'to', 'voice', 'voice-name', 'consent', 'glossary', 'same-language'].includes(event.target.id)) connection?.configure(session());
});
navigator.mediaDevices?.addEventListener('devicechange', devices);
addEventListener('beforeunload', event => { if (connection && !connection.over) event.preventDefault(); });
$('tab-choice').hidden = !navigator.mediaDevices?.getDisplayMedia;

restore();
devices();
languages().then(chosen, error => alertOf(`The server does not answer as it should: ${error.message}`));
fetch('/v1/models').then(answer => { if (answer.status === 401) $('login').showModal(); }, () => {});
