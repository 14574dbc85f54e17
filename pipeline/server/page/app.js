// The page: its controls, and what the session says.
import { detected, devices, input, languages, nameOf, overlay, remember, restore, session, showChoices } from './choices.js';
import { Connection } from './connection.js';
import { offerFiles, save } from './files.js';
import { Watching } from './screen.js';
import { Sound } from './sound.js';
import { addTarget, hear, heardTarget, takeBack, targets } from './targets.js';
import { Transcript } from './transcript.js';

const $ = id => document.getElementById(id);
const transcript = new Transcript($('transcript'), nameOf), watching = new Watching($('watch'), $('seen'));
const STATES = {
  ready: 'Ready', connecting: 'Connecting', listening: 'Listening', paused: 'Paused', waiting: 'Reconnecting', finishing: 'Finishing', done: 'Done', refused: 'Stopped',
};
const NOTED_MS = 1000; // shorter gaps are not worth a line
let sound = null, connection = null, timer = 0, wake = null;

export const stats = () => ({ ...sound?.stats, units: transcript.units.length, reconnects: connection?.reconnects ?? 0, ends: connection?.endMs ?? 0 });

const icon = (button, name, text) => {
  button.querySelector('use').setAttribute('href', `icons.svg#${name}`);
  button.querySelector('span').textContent = text;
};

const alertOf = text => { $('alert').textContent = text; };

function notice(text) {
  clearTimeout(notice.timer);
  $('notice').textContent = text;
  notice.timer = setTimeout(() => { $('notice').textContent = ''; }, 6000);
}

// --- the choices ---

function chosen() {
  transcript.languages($('from').value, targets());
  showChoices();
}

function dropped(files) {
  $('file').files = files;
  document.querySelector('[value=file]').click();
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
  watching.clear();
  detected('');
  for (const what of ['voice', 'text']) $(`lag-${what}`).textContent = '';
  state('connecting');
  running(true);
  sound = new Sound();
  sound.levels = { translation: $('mute').ariaPressed === 'true' ? 0 : Number($('translation').value), original: Number($('original').value) };
  try {
    const early = []; // blocks before the connection is there
    await sound.start({ kind, file, pictures: !$('watch-choice').hidden, ...microphone() }, pcm => (connection ? connection.append(pcm) : early.push(pcm)), stop);
    await sound.setSpeaker($('speaker').value).catch(() => alertOf('That speaker cannot be used; the default one is.'));
    await devices();
    if (sound.stopped) throw new DOMException('', 'NotAllowedError');
    connection = new Connection(session(), heard, state);
    if ($('mute').ariaPressed === 'true') connection.control('mute');
    early.forEach(pcm => connection.append(pcm));
    watch();
    timer = setInterval(tick, 100);
    wake = await navigator.wakeLock?.request('screen').catch(() => null);
  } catch (error) {
    await ended();
    state('ready');
    if (error.name !== 'NotAllowedError' || kind !== 'tab') alertOf(told(error, kind));
  }
}

const microphone = () => ({ deviceId: $('microphone').value, echoCancellation: $('echo').checked });

// Another microphone, or the same one in another way, while it runs.
function switched() {
  if (sound && !sound.stopped && input() === 'microphone') sound.open({ kind: 'microphone', ...microphone() }).catch(error => alertOf(told(error)));
}

function told(error, kind) {
  if (error.name === 'NotAllowedError') return 'The microphone was refused. Allow it beside the address of this page, then press Start.';
  if (error.name === 'NotFoundError') return 'There is no microphone. Plug one in, or translate a tab or a file.';
  if (kind === 'file' && error.name === 'EncodingError') return 'The browser cannot read this recording; WAV, MP3, M4A, OGG and WebM work nearly everywhere.';
  return error.message;
}

// Send the picture of the shared screen, if that is wanted, or no more.
const watch = () => watching.follow(sound && !sound.stopped ? sound.video : null, sound?.stream?.getAudioTracks()[0], connection);

async function stop() {
  const ending = connection;
  if (ending) state('finishing');
  await sound.finish();
  pause(false);
  ending?.finish();
}

async function ended() {
  clearInterval(timer);
  watching.stop();
  wake?.release();
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
  $('meter').hidden = !is;
  $('welcome').hidden = is || !transcript.empty;
  if (!is) $('lag').hidden = true;
}

function state(name, detail = '') {
  const shown = name === 'listening' && $('pause').ariaPressed === 'true' ? 'paused' : name;
  if (name === 'waiting') transcript.rewind(connection.near);
  $('state').dataset.state = shown;
  $('state').textContent = STATES[shown] || STATES.refused;
  $('start').disabled = name === 'finishing';
  if ((name === 'waiting' || name === 'connecting') && detail) alertOf(`${detail} It is tried again and again; the last 15 seconds of what is said are kept.`);
  if (name === 'refused') alertOf(detail);
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
    case 'translate_live.speech':
      return event.target === heardTarget() && sound.play(event.delta);
    case 'translate_live.source':
      detected(event.language);
      return transcript.heard(event);
    case 'translate_live.unit':
      return unit(event);
    case 'translate_live.tail':
      return transcript.draft(event.text, event.language);
    case 'translate_live.seen':
      return watching.seen(event.names);
    case 'translate_live.note':
      return event.param === 'image' && watching.gone(event.message);
    case 'translate_live.lag':
      return event.target === heardTarget() && lag('voice', event.ear_voice_ms);
    case 'translate_live.flush':
      return sound.flush();
    case 'translate_live.skipped':
      return event.target === heardTarget() && notice(`shown, not spoken: ${event.reason}`);
    case 'translate_live.gap':
      return event.end_ms - event.start_ms >= NOTED_MS && transcript.note(`${((event.end_ms - event.start_ms) / 1000).toFixed(0)} s not heard: ${event.reason}`);
    case 'translate_live.fault':
      return alertOf(event.message);
    case 'translate_live.going_away':
      return notice('The server is about to go away; the session goes on with the next one.');
    case 'error':
      if (connection.accepted && /language|source|targets|spoken/.test(event.error.param)) { // or what is still said would not be played
        takeBack(connection.accepted.translate_live);
        for (const id of ['from', 'to']) remember({ target: $(id) });
        chosen();
      }
      return alertOf(event.error.message);
  }
}

function unit(event) {
  transcript.unit(event);
  $('open-save').disabled = false;
  if (event.target !== heardTarget()) return;
  lag('text', connection.sentMs - event.end_ms);
  if ($('aloud').checked && event.text) {
    $('announce').append(Object.assign(document.createElement('p'), { textContent: event.text }));
    while ($('announce').childElementCount > 5) $('announce').firstElementChild.remove();
  }
}

function lag(what, ms) {
  $('lag').hidden = false;
  $(`lag-${what}`).textContent = `${what} ${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

function tick() {
  sound.stats.peak = Math.max(sound.stats.peak, sound.level(sound.meter));
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

// --- keys ---

async function login(event) {
  event.preventDefault();
  const answer = await fetch('/v1/tickets', { method: 'POST', headers: { authorization: `Bearer ${$('key').value}` } }).catch(() => null);
  if (!answer?.ok) {
    $('login-error').textContent = answer?.status === 401 ? 'The server does not know this key.' : 'The server cannot be reached.';
    return;
  }
  location.assign((await answer.json()).url);
}

$('start').onclick = () => {
  if (sound && !sound.stopped) stop();
  else if (connection && !connection.over) connection.end('done'); // it waits for a server that does not come back
  else start();
};
$('pause').onclick = () => pause($('pause').ariaPressed !== 'true');
$('mute').onclick = () => mute($('mute').ariaPressed !== 'true');
$('skip').onclick = () => { sound.flush(); connection.control('skip_to_live'); };
$('translation').oninput = () => { if ($('mute').ariaPressed !== 'true') sound?.setLevel('translation', Number($('translation').value)); };
$('original').oninput = () => sound?.setLevel('original', Number($('original').value));
$('microphone').onchange = $('echo').onchange = switched;
$('watch').onchange = watch;
$('speaker').onchange = () => sound?.setSpeaker($('speaker').value).catch(error => alertOf(error.message));
$('open-settings').onclick = () => { overlay(); devices(); $('settings').showModal(); };
$('open-save').onclick = () => { offerFiles(transcript, nameOf); $('save').showModal(); };
$('save').onclick = ({ target }) => { const button = target.closest('[data-file]'); if (button) save(transcript, button.dataset.file); };
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
  if (event.target.id === 'further' && event.target.value) notice(`${addTarget()} is shown, too.`);
  if (event.target.name === 'heard') {
    hear(event.target.value);
    sound?.flush();
  }
  chosen();
  if (event.target.name === 'heard' || ['from', 'to', 'further', 'voice', 'voice-name', 'consent', 'glossary', 'same-language', 'speakers'].includes(event.target.id)) {
    if (connection?.ready) alertOf('');
    connection?.configure(session());
  }
});
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, event => {
    event.preventDefault();
    document.body.classList.toggle('dropping', kind === 'dragover' && !$('file').disabled);
    if (kind === 'drop' && event.dataTransfer.files.length && !$('file').disabled) dropped(event.dataTransfer.files);
  });
}
navigator.mediaDevices?.addEventListener('devicechange', devices);
addEventListener('beforeunload', event => { if (connection && !connection.over) event.preventDefault(); });
$('tab-choice').hidden = !navigator.mediaDevices?.getDisplayMedia;

restore();
devices();
languages().then(chosen, error => alertOf(`The server does not answer as it should: ${error.message}`));
fetch('/v1/models').then(answer => { if (answer.status === 401) $('login').showModal(); }, () => {});
