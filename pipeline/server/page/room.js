// A room: each participant speaks and hears one language; captions of everybody by name, and an address to invite others.
import { enrolled } from './choices.js';
import { Connection } from './connection.js';
import { Sound } from './sound.js';
import { direction } from './transcript.js';

const $ = id => document.getElementById(id);
const STATES = { ready: 'Ready', connecting: 'Connecting', listening: 'In the room', waiting: 'Reconnecting', finishing: 'Leaving', done: 'Left', refused: 'Not in the room' };
const REMEMBERED = ['name', 'language', 'voice'];
const LISTED_MS = 5000;
const wanted = new URLSearchParams(location.search);
let room = wanted.get('room') || '', invite = wanted.get('invite') || '';
let sound = null, connection = null, timer = 0;
const said = []; // {who, text, source}

export const stats = () => ({ ...sound?.stats, lines: said.length, reconnects: connection?.reconnects ?? 0 });

const alertOf = text => { $('alert').textContent = text; };
const place = () => ({ room, as: $('name').value.trim(), invite });

// --- captions ---

function follow(change) {
  const { scrollTop, scrollHeight, clientHeight } = $('lines'), near = scrollHeight - scrollTop - clientHeight < 120;
  change();
  if (near) $('lines').scrollTop = $('lines').scrollHeight;
}

function element(name, className, text = '') {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

// The paragraph of whoever speaks: the last one, if it is theirs.
function paragraph(who, language) {
  const last = $('lines').lastElementChild;
  if (last?.dataset.who === who && last.textContent.length < 400) return last;
  const made = element('p', who === place().as ? 'own' : '');
  made.dataset.who = who;
  made.dir = direction(language);
  made.lang = language;
  made.append(element('b', '', who), element('span', 'said'), element('span', 'tail'), element('small', 'source'));
  $('lines').append(made);
  return made;
}

function unit({ participant, target, text, source }) {
  if (participant === place().as || !text.trim()) return;
  said.push({ who: participant, text: text.trim(), source });
  follow(() => {
    const made = paragraph(participant, target);
    made.querySelector('.said').textContent = `${made.querySelector('.said').textContent} ${text.trim()}`.trim();
    made.querySelector('.source').textContent = `${made.querySelector('.source').textContent} ${source}`.trim();
    made.querySelector('.tail').textContent = '';
  });
  $('save').disabled = false;
}

function words({ participant, text, tail, language }) {
  if (!text && !tail) return;
  if (text.trim()) said.push({ who: participant, text: text.trim(), source: '' });
  follow(() => {
    const made = paragraph(participant, language);
    made.querySelector('.said').textContent += text;
    made.querySelector('.tail').textContent = tail && ` ${tail.trim()}`;
  });
}

function heard(event) {
  switch (event.type) {
    case 'session.output_audio.delta': return sound.play(event.delta);
    case 'translate_live.source': return words(event);
    case 'translate_live.unit': return unit(event);
    case 'translate_live.flush': return sound.flush();
    case 'translate_live.fault': return alertOf(event.message);
    case 'translate_live.recording': return recorded(event);
    case 'error': return alertOf(event.error.message);
  }
}

function recorded({ recording, participant }) {
  if (recording) $('recorded').hidden = false;
  else alertOf(`${participant} is recorded no more`);
}

// --- the session ---

function session() {
  const language = $('language').value;
  return {
    audio: { output: { language } },
    translate_live: { source: language, voice: $('voice').value, consent: $('consent').checked },
  };
}

async function join() {
  alertOf('');
  if (!navigator.mediaDevices) return alertOf('The browser gives a microphone to secure pages only: open this one by https or as localhost.');
  if ($('voice').value === 'same' && !$('consent').checked) return $('consent').focus();
  if (!room && !await invitation()) return;
  state('connecting');
  running(true);
  $('lines').replaceChildren();
  said.length = 0;
  sound = new Sound();
  try {
    await sound.start({ kind: 'microphone', deviceId: '', echoCancellation: $('echo').checked }, pcm => connection?.append(pcm), leave);
    if (sound.stopped) throw new DOMException('', 'NotAllowedError');
    connection = new Connection(session(), heard, state, place());
    timer = setInterval(people, LISTED_MS);
  } catch (error) {
    ended();
    state('ready');
    alertOf(error.name === 'NotAllowedError' ? 'The microphone was refused. Allow it beside the address of this page, then join.' : error.message);
  }
}

async function leave() {
  await sound.finish();
  connection?.finish();
}

function ended() {
  clearInterval(timer);
  connection = null;
  running(false);
  sound.endInput();
  const { context, queuedS } = sound;
  setTimeout(() => context.close(), queuedS * 1000 + 500);
}

function running(is) {
  $('join').querySelector('span').textContent = is ? 'Leave' : 'Join';
  $('join').querySelector('use').setAttribute('href', `icons.svg#${is ? 'stop' : 'start'}`);
  $('join').classList.toggle('running', is);
  $('pause').disabled = !is;
  $('welcome').hidden = is || said.length > 0;
  $('setup').hidden = is;
}

function state(name, detail = '') {
  $('state').dataset.state = name;
  $('state').textContent = STATES[name] || STATES.refused;
  if (detail) alertOf(detail);
  if (name === 'listening') { alertOf(''); people(); }
  if (name === 'key') alertOf(invite ? 'This server asks for a key, or an invitation that is still good: ask who invited you for another.'
    : 'This server asks for a key, or an invitation: open its page first, then come back.');
  if (['done', 'refused', 'key'].includes(name)) queueMicrotask(ended);
}

// --- who is there, and who may come ---

async function people() {
  const answer = await fetch(`/v1/rooms?${new URLSearchParams({ room, invite })}`).catch(() => null);
  if (!answer?.ok) return;
  const { participants, recorded: kept } = await answer.json();
  $('people').textContent = participants.join(', ');
  $('recorded').hidden = !kept;
}

async function invitation() {
  if (invite) return location.href; // a guest hands on what they were given
  const answer = await fetch(`/v1/rooms?${new URLSearchParams(room ? { room } : {})}`, { method: 'POST' }).catch(() => null);
  if (!answer?.ok) {
    alertOf(answer?.status === 401 ? 'This server asks for a key: open its page first, then come back.' : 'The server cannot be reached.');
    return '';
  }
  const made = await answer.json();
  if (!room) history.replaceState(null, '', `/room.html?room=${made.room}`);
  room = made.room;
  return new URL(made.url, location).href;
}

async function showInvitation() {
  const address = await invitation();
  if (!address) return;
  $('address').value = address;
  $('invitation').hidden = false;
  $('address').select();
  await navigator.clipboard?.writeText(address).catch(() => {});
}

function save() {
  const text = said.map(({ who, text: words_, source }) => `${who}: ${words_}${source ? `\n    ${source}` : ''}\n`).join('');
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  Object.assign(document.createElement('a'), { href: address, download: `room-${room}.txt` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function pause() {
  const paused = $('pause').ariaPressed !== 'true';
  $('pause').ariaPressed = paused;
  $('pause').querySelector('span').textContent = paused ? 'Microphone on' : 'Microphone off';
  sound.pause(paused);
}

async function languages() {
  const answer = await fetch('/v1/languages');
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  const { from, to, names, default: first, presets } = await answer.json();
  $('voice').append(...[...invite ? [] : await enrolled(), ...presets ?? []].map(name => new Option(name, name)));
  const codes = from.filter(code => to.includes(code)).sort((one, other) => names[one].localeCompare(names[other]));
  $('language').replaceChildren(...codes.map(code => new Option(names[code], code)));
  const own = [navigator.language.split('-')[0], first].find(code => codes.includes(code));
  if (own) $('language').value = own;
  for (const id of REMEMBERED) {
    const value = localStorage.getItem(`translate-live.room.${id}`);
    if (value !== null && ($(id).tagName !== 'SELECT' || [...$(id).options].some(option => option.value === value))) $(id).value = value;
  }
  $('consent-label').hidden = $('voice').value !== 'same';
}

$('setup').onsubmit = event => {
  event.preventDefault();
  if (connection) leave();
  else if ($('state').dataset.state !== 'connecting') join();
};
$('setup').onchange = ({ target }) => {
  if (REMEMBERED.includes(target.id)) localStorage.setItem(`translate-live.room.${target.id}`, target.value);
  $('consent-label').hidden = $('voice').value !== 'same';
};
$('invite').onclick = showInvitation;
$('save').onclick = save;
$('pause').onclick = pause;
addEventListener('beforeunload', event => { if (connection && !connection.over) event.preventDefault(); });

languages().catch(error => alertOf(`The server does not answer as it should: ${error.message}`));
if (room) people();
