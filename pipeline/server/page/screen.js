// What is shared, as JPEGs in base64: twice a second at most, each when it has changed; and the names that were read in it.
import { base64 } from './connection.js';

const PERIOD_MS = 500, WIDEST = 1280, LARGEST = 500_000; // bytes
const COLUMNS = 32, ROWS = 18, CHANGED = 3; // of 255: the mean brightness of any cell
const QUALITIES = [0.8, 0.5];
const NAMES = 8;
const ENDED = 'The picture of the screen has ended: names in it are no longer read. What is said is still translated.';

export class Screen {
  // Pictures of `video` go to `connection`; `ended` is called when there are no more.
  constructor(video, connection, ended) {
    Object.assign(this, { video, connection, track: video.srcObject.getVideoTracks()[0] });
    this.looked = null; // the cells of the picture that was sent last
    this.canvas = document.createElement('canvas');
    this.context = this.canvas.getContext('2d', { willReadFrequently: true });
    this.track.onended = ended;
    this.timer = setInterval(() => this.look(), PERIOD_MS);
  }

  async look() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.busy || !this.connection.ready || !width || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.busy = true;
    try {
      const share = Math.min(1, WIDEST / width);
      Object.assign(this.canvas, { width: Math.round(width * share), height: Math.round(height * share) });
      this.context.drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
      const cells = cellsOf(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
      if (this.looked?.every((before, at) => Math.abs(before - cells[at]) <= CHANGED) === true) return;
      const jpeg = await this.encoded();
      if (jpeg && !this.over && this.connection.show(jpeg)) this.looked = cells;
    } finally {
      this.busy = false;
    }
  }

  // The canvas in base64, as good as its size allows.
  async encoded() {
    for (const quality of QUALITIES) {
      const blob = await new Promise(done => { this.canvas.toBlob(done, 'image/jpeg', quality); });
      if (blob?.size <= LARGEST) return base64(new Uint8Array(await blob.arrayBuffer()));
    }
    return '';
  }

  end() {
    this.over = true;
    clearInterval(this.timer);
    this.track.onended = null;
  }
}

// The mean brightness (green) of each cell.
function cellsOf({ data, width, height }) {
  const sums = new Float64Array(COLUMNS * ROWS), counts = new Float64Array(COLUMNS * ROWS);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y * ROWS / height) * COLUMNS;
    for (let x = 0; x < width; x++) {
      const cell = row + Math.floor(x * COLUMNS / width);
      sums[cell] += data[4 * (y * width + x) + 1];
      counts[cell]++;
    }
  }
  return sums.map((sum, cell) => sum / Math.max(1, counts[cell]));
}

// The switch, and the line under the captions that shows what was read.
export class Watching {
  constructor(box, line) {
    Object.assign(this, { box, line, names: [] });
  }

  // Send the picture of `video`, which is shared with `sound`, a track, if it is wanted, or no more.
  follow(video, sound, connection) {
    this.stop();
    this.connection = connection;
    if (!this.box.checked || !video || !connection) return;
    const screen = this.screen = new Screen(video, connection, () => {
      screen.end();
      setTimeout(() => { // where sharing is stopped, the sound ends just before or after, and the session with it
        if (screen === this.screen && sound.readyState === 'live') this.gone(ENDED);
      }, PERIOD_MS);
    });
    if (screen.track.readyState === 'ended') this.gone(ENDED);
  }

  stop() {
    this.screen?.end();
    this.screen = null;
    const { connection } = this;
    if (!connection?.picture) return;
    connection.picture = '';
    if (connection.ready) connection.send({ type: 'translate_live.image', image: '' }); // what was not read yet is not to be
  }

  clear() {
    this.names = [];
    this.say('');
  }

  seen(names) {
    this.names = [...new Set([...names, ...this.names])].slice(0, NAMES);
    this.say(`On the screen: ${this.names.join(', ')}`);
  }

  gone(why) {
    this.stop();
    this.box.checked = false;
    this.say(why);
  }

  say(text) {
    this.line.textContent = text;
    this.line.hidden = !text;
  }
}
