// The input as blocks of 200 ms of 24 kHz PCM16, resampled where the device's rate cannot be had; silence while paused.
const HZ = 24000, BLOCK = HZ / 5;

registerProcessor('capture', class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.sum = this.weight = 0; // of the input samples that fall into the next output sample
    this.paused = false;
    this.port.onmessage = ({ data }) => (data.end ? this.end() : this.paused = data.paused);
  }

  end() {
    if (this.filled) this.port.postMessage(this.block.slice(0, this.filled));
    this.filled = 0;
    this.port.postMessage(null);
  }

  process([[channel]]) {
    if (!channel) return true;
    if (sampleRate === HZ) for (const sample of channel) this.put(sample);
    else for (const sample of channel) this.resample(sample);
    return true;
  }

  // Area average: each input sample lasts HZ / sampleRate output samples and is shared out among those it covers.
  resample(sample) {
    let left = HZ / sampleRate;
    while (this.weight + left >= 1) {
      const part = 1 - this.weight;
      this.put(this.sum + sample * part);
      left -= part;
      this.sum = this.weight = 0;
    }
    this.sum += sample * left;
    this.weight += left;
  }

  put(sample) {
    this.block[this.filled++] = this.paused ? 0 : Math.max(-1, Math.min(1, sample)) * 32767;
    if (this.filled < BLOCK) return;
    this.port.postMessage(this.block, [this.block.buffer]);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
  }
});
