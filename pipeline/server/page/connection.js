// A session with the server, over as many sockets as it takes: after a loss the audio that no unit covers is sent again.
export const HZ = 24000;
const KEPT_MS = 15000; // what the server takes in at once after a resume
const PICTURE_BACKLOG = 65536; // bytes that may wait to be sent when a picture is added to them
const SHORTEST_MS = 100; // of a word: a unit that ends so little later than what was given has none that is new
const LONGEST_WAIT_S = 8, PING_MS = 5000, DEAD_MS = 20000;
const FINAL = new Set([1008, 1009, 4029]); // trying again would end the same way

export const base64 = bytes => {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
};

export class Connection {
  // `heard(event)` takes the server's events; `became(state, detail)` the states connecting, listening, waiting, finishing,
  // done and refused.
  // In a room, `place` is {room, as, invite}.
  constructor(session, heard, became, place = {}) {
    Object.assign(this, { session, heard, became, place });
    this.kept = []; // blocks {at, pcm}, times in ms of the stream
    this.sentMs = 0;
    this.ends = new Map(); // in ms, of the last unit of each target
    this.begins = new Map(); // in ms, of what a target that was added is given
    this.said = new Set(); // units that come again after a loss, since another language had still to be given their words
    this.follow(session);
    this.lastUnit = -1;
    this.token = this.picture = ''; // the picture that was shown last, in base64
    this.waitS = 0.25;
    this.reconnects = 0;
    this.open();
    this.ping = setInterval(() => this.alive(), PING_MS);
    this.online = () => { if (this.retry) this.open(); };
    addEventListener('online', this.online);
  }

  open() {
    clearTimeout(this.retry);
    this.retry = 0;
    this.ready = this.upgraded = false;
    const address = new URL('/v1/realtime/translations', location);
    address.protocol = location.protocol.replace('http', 'ws');
    for (const [name, value] of Object.entries(this.place)) if (value) address.searchParams.set(name, value);
    if (this.token) address.searchParams.set('resume', this.token);
    this.became(this.begun ? 'waiting' : 'connecting');
    const socket = this.socket = new WebSocket(address, ['realtime']);
    socket.onopen = () => { this.upgraded = true; this.lastSign = Date.now(); this.begin(); };
    socket.onmessage = ({ data }) => { if (socket === this.socket) this.take(JSON.parse(data)); };
    socket.onclose = event => { if (socket === this.socket) this.lost(event); };
  }

  begin() {
    const [oldest] = this.kept;
    this.resumeMs = Math.max(this.endMs, oldest ? oldest.at : this.sentMs);
    this.begins.clear(); // all of it is for all targets
    this.update({ start_ms: this.resumeMs, first_unit: this.lastUnit + 1, ...(this.token && { resume: this.token }) });
    this.controls = this.paused ? ['pause'] : [];
    if (this.muted) this.controls.push('mute');
  }

  update(more = {}) {
    const { translate_live, ...session } = this.session;
    this.send({ type: 'session.update', session: { ...session, translate_live: { ...translate_live, extensions: true, ...more } } });
  }

  // The languages for which audio is sent again after a loss; one that is far behind holds nothing up.
  get near() {
    const newest = Math.max(0, ...this.ends.values());
    return [...this.ends.keys()].filter(target => this.ends.get(target) > newest - KEPT_MS);
  }

  // How far they have come.
  get endMs() { return this.ends.size && Math.min(...this.near.map(target => this.ends.get(target))); }

  follow(session) {
    this.session = session;
    if (this.place.room) return;
    const from = this.endMs, { audio, translate_live } = session, targets = translate_live.targets ?? [audio.output.language];
    if (this.ready) for (const target of targets) if (!this.ends.has(target)) this.begins.set(target, this.sentMs);
    this.ends = new Map(targets.map(target => [target, this.ends.get(target) ?? from]));
  }

  // Take in how far a unit has come; false if it was given before.
  came({ target, unit, source, end_ms }) {
    this.lastUnit = Math.max(this.lastUnit, unit);
    if (!this.place.room && source && this.reconnects && end_ms <= (this.ends.get(target) ?? 0) + SHORTEST_MS) {
      this.said.add(`${unit} ${target}`);
      return false;
    }
    const known = this.place.room || this.ends.has(target);
    if (known) this.ends.set(target, Math.max(this.ends.get(target) ?? 0, end_ms));
    for (const [one, ms] of this.ends) { // of a session that the next one follows
      if (!known || end_ms <= (this.begins.get(one) ?? -Infinity) + SHORTEST_MS) this.ends.set(one, Math.max(ms, end_ms));
    }
    return true;
  }

  // Take new wishes; they hold at once where the session runs.
  configure(session) {
    this.follow(session);
    if (this.ready) this.update();
  }

  control(action) {
    if (action === 'pause' || action === 'resume') this.paused = action === 'pause';
    if (action === 'mute' || action === 'unmute') this.muted = action === 'mute';
    if (this.ready) this.send({ type: 'translate_live.control', action });
  }

  append(pcm) {
    if (this.finishing) return;
    this.kept.push({ at: this.sentMs, pcm });
    this.sentMs += pcm.length * 1000 / HZ;
    while (this.kept.length && this.kept[0].at + KEPT_MS < this.sentMs) this.kept.shift();
    if (this.ready) this.sendAudio(pcm);
  }

  sendAudio(pcm) {
    const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
    this.send({ type: 'session.input_audio_buffer.append', audio: base64(bytes) });
  }

  // Show a picture, unless audio would have to wait for it; says if it was sent.
  show(jpeg) {
    if (!this.ready || this.finishing || this.socket.bufferedAmount > PICTURE_BACKLOG) return false;
    this.picture = jpeg;
    this.send({ type: 'translate_live.image', image: jpeg });
    return true;
  }

  replay() {
    this.ready = this.begun = true;
    this.waitS = 0.25;
    for (const action of this.controls) this.control(action);
    if (this.picture) this.show(this.picture); // before the audio, behind which it would wait
    for (const { at, pcm } of this.kept) {
      const from = Math.max(0, Math.round((this.resumeMs - at) * HZ / 1000));
      if (from < pcm.length) this.sendAudio(pcm.subarray(from));
    }
    if (this.finishing) this.send({ type: 'session.close' });
    this.became(this.finishing ? 'finishing' : 'listening');
  }

  take(event) {
    this.lastSign = Date.now();
    const own = !event.participant || event.participant === this.place.as;
    switch (event.type) {
      case 'session.updated':
        this.accepted = this.session;
        if (!this.ready) this.replay();
        break;
      case 'translate_live.resume':
        this.token = event.token;
        break;
      case 'translate_live.unit':
        if (own && !this.came(event)) return;
        break;
      case 'session.output_audio.delta':
      case 'translate_live.speech':
        if (this.said.has(`${event.unit} ${event.target}`)) return;
        break;
      case 'translate_live.source': // ahead of what was sent: the server saw a pause, which our count lacks
        if (own) this.sentMs = Math.max(this.sentMs, event.heard_ms);
        break;
      case 'session.closed':
        return this.end('done');
      case 'error':
        if (!this.ready && event.error.type === 'invalid_request_error') return this.end('refused', event.error.message);
        this.follow(this.accepted ?? this.session); // or a connection anew would be refused
    }
    this.heard(event);
  }

  async lost({ code, reason }) {
    this.ready = false;
    if (this.over) return;
    if (this.finishing && !this.kept.length) return this.end('done');
    if (FINAL.has(code)) return this.end('refused', reason || `the server closed the connection (${code})`);
    if (this.begun) this.reconnects++;
    const why = this.upgraded ? '' : await this.whyNot();
    if (this.over || this.retry) return;
    if (why === 'key') return this.end('key');
    if (this.place.room && why && !this.begun) return this.end('refused', why);
    this.became(this.begun ? 'waiting' : 'connecting', why);
    this.retry = setTimeout(() => this.open(), this.waitS * (0.75 + Math.random() / 2) * 1000);
    this.waitS = Math.min(LONGEST_WAIT_S, this.waitS * 2);
  }

  // A browser is not told why an upgrade was refused, but another address will say.
  async whyNot() {
    try {
      const answer = await fetch(this.place.room ? `/v1/rooms?${new URLSearchParams(this.place)}` : '/v1/models');
      if (this.place.room && !answer.ok && answer.status !== 401) return (await answer.json()).error.message;
      return answer.status === 401 ? 'key' : 'The server has no room for another session.';
    } catch { return 'The server cannot be reached.'; }
  }

  alive() {
    if (this.ready) this.send({ type: 'translate_live.ping' });
    if (this.upgraded && this.socket.readyState === WebSocket.OPEN && Date.now() - this.lastSign > DEAD_MS) {
      const { socket } = this;
      socket.onclose = null;
      socket.close();
      this.lost({ code: 1006 });
    }
  }

  // End the audio; what was heard is still said.
  finish() {
    this.finishing = true;
    this.became('finishing');
    if (this.ready) this.send({ type: 'session.close' });
    else if (!this.kept.length) this.end('done');
  }

  end(state, detail) {
    this.over = true;
    clearInterval(this.ping);
    clearTimeout(this.retry);
    removeEventListener('online', this.online);
    this.socket.close(1000);
    this.became(state, detail);
  }

  send(event) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }
}
