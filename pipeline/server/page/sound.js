// What is heard and what is played: one audio context, an input that is cut into blocks, the translation over the original.
import { HZ } from './connection.js';

const JITTER_S = 0.15; // ahead of playback after each silence
const LAST_MS = 500; // for the last block
const DUCKED = 0.25; // the original while the translation speaks
const OPENING_MS = 10000; // of the output device

export class Sound {
  constructor() {
    this.context = new AudioContext({ sampleRate: HZ });
    this.stats = { playedS: 0, peak: 0, blocks: 0, silences: 0 };
    this.levels = { translation: 1, original: 0 };
    this.nextAt = 0;
    this.playing = new Set();
  }

  // Begin to give blocks of PCM16 to `block`; `ended` is called when the input is over.
  async start(input, block, ended) {
    this.ended = () => { if (!this.stopped) ended(); };
    await this.open(input);
    this.translation = this.gain(this.levels.translation);
    this.meter = this.context.createAnalyser();
    this.translation.connect(this.meter).connect(this.context.destination);
    this.original = this.gain(this.levels.original);
    this.original.connect(this.context.destination);
    await this.context.audioWorklet.addModule('capture.js');
    this.capture = new AudioWorkletNode(this.context, 'capture', { numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' });
    this.capture.port.onmessage = ({ data }) => {
      if (!data) return this.drained?.();
      this.stats.blocks++;
      block(data);
    };
    this.inputMeter = this.context.createAnalyser();
    this.connect();
    await this.run();
    if (this.file) this.file.start();
  }

  // Start the clock of the audio context, which stands still in a browser without an output.
  async run() {
    const stuck = new Promise((_, refuse) => { this.opening = setTimeout(() => refuse(new Error(
      'The browser has no sound output, without which it hears nothing either: connect one, or choose it in the settings of the system.')), OPENING_MS); });
    await Promise.race([this.context.resume(), stuck]);
    clearTimeout(this.opening);
  }

  connect() {
    for (const node of [this.capture, this.inputMeter, this.original]) this.source.connect(node);
  }

  // Open an input, in place of the one that is open.
  async open({ kind, deviceId, echoCancellation, file, pictures }) {
    if (kind === 'file') {
      const buffer = await this.context.decodeAudioData(await file.arrayBuffer());
      this.source = this.file = new AudioBufferSourceNode(this.context, { buffer });
      this.file.onended = this.ended;
      return;
    }
    const stream = kind === 'tab' ? await this.tab(pictures) : await navigator.mediaDevices.getUserMedia({
      audio: { deviceId: deviceId ? { exact: deviceId } : undefined, echoCancellation, noiseSuppression: false, autoGainControl: false, channelCount: 1 },
    });
    this.stream?.getTracks().forEach(track => track.stop());
    this.stream = stream;
    const lost = () => (kind === 'microphone' ? this.open({ kind, echoCancellation }).catch(this.ended) : this.ended());
    stream.getAudioTracks()[0].onended = () => { if (!this.stopped && stream === this.stream) lost(); };
    this.source?.disconnect();
    try {
      this.source = this.context.createMediaStreamSource(stream);
    } catch { // Firefox does not resample an input; the worklet does
      await this.context.close();
      this.context = new AudioContext();
      this.source = this.context.createMediaStreamSource(stream);
    }
    if (this.capture) this.connect();
  }

  async tab(pictures) {
    const stream = await navigator.mediaDevices.getDisplayMedia({
      video: true, audio: { suppressLocalAudioPlayback: true, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      preferCurrentTab: false, systemAudio: 'include',
    });
    if (!stream.getAudioTracks().length) {
      stream.getTracks().forEach(track => track.stop());
      throw new Error('That share has no sound: choose a tab, and switch on “Also share tab audio”.');
    }
    const [track] = stream.getVideoTracks();
    track.enabled = pictures;
    if (pictures) { // held from the beginning on: a screen on which nothing moves gives no second picture
      this.video = Object.assign(document.createElement('video'), { muted: true, srcObject: new MediaStream([track]) });
      this.video.play().catch(() => {}); // it was ended before it began
    }
    return stream;
  }

  gain(value) { return new GainNode(this.context, { gain: value }); }

  async setSpeaker(deviceId) {
    if (this.context.setSinkId && (this.context.sinkId || '') !== deviceId) await this.context.setSinkId(deviceId);
  }

  setLevel(name, value) {
    this.levels[name] = value;
    this[name]?.gain.setTargetAtTime(value, this.context.currentTime, 0.03);
  }

  play(delta) {
    const bytes = Uint8Array.from(atob(delta), character => character.charCodeAt(0));
    const pcm = new Int16Array(bytes.buffer), buffer = this.context.createBuffer(1, pcm.length, HZ), samples = buffer.getChannelData(0);
    for (let at = 0; at < pcm.length; at++) samples[at] = pcm[at] / 32768;
    const source = new AudioBufferSourceNode(this.context, { buffer }), now = this.context.currentTime;
    source.connect(this.translation);
    if (this.nextAt < now + 0.02) {
      this.nextAt = now + JITTER_S;
      this.stats.silences++;
    }
    const at = this.nextAt;
    source.start(at);
    this.nextAt = at + buffer.duration;
    this.playing.add(source);
    source.onended = () => { if (this.playing.delete(source)) this.stats.playedS += buffer.duration; };
    this.duck(at, this.nextAt);
  }

  duck(from, until) {
    const { gain } = this.original;
    gain.cancelScheduledValues(from);
    gain.setTargetAtTime(this.levels.original * DUCKED, from, 0.1);
    gain.setTargetAtTime(this.levels.original, until + 0.2, 0.3);
  }

  // Drop what is scheduled.
  flush() {
    const dropped = [...this.playing];
    this.playing.clear();
    dropped.forEach(source => source.stop());
    this.nextAt = 0;
    this.original?.gain.cancelScheduledValues(0);
    this.setLevel('original', this.levels.original);
  }

  get queuedS() { return Math.max(0, this.nextAt - this.context.currentTime); }

  pause(paused) {
    this.capture?.port.postMessage({ paused });
    if (this.file) this.file.playbackRate.value = paused ? 0 : 1;
  }

  level(meter) {
    if (!meter) return 0;
    const samples = new Float32Array(meter.fftSize);
    meter.getFloatTimeDomainData(samples);
    return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  }

  // End the input, its last block included.
  async finish() {
    if (this.capture && !this.stopped) {
      const last = new Promise(resolve => { this.drained = resolve; setTimeout(resolve, LAST_MS); });
      this.capture.port.postMessage({ end: true });
      await last;
    }
    this.endInput();
  }

  // End the input; what is scheduled is still played.
  endInput() {
    this.stopped = true;
    this.stream?.getTracks().forEach(track => track.stop());
    if (this.video) this.video.srcObject = null;
    this.capture?.disconnect();
    this.capture?.port.close();
    try { this.file?.stop(); } catch { /* it never began */ }
  }
}
