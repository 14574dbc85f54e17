// Source and translation as paragraphs side by side, each with its tentative tail, and as files.
const UNSPACED = new Set(['zh', 'ja', 'yue', 'th', 'lo', 'km', 'my']);
const RIGHT_TO_LEFT = new Set(['ar', 'fa', 'he', 'ur', 'ps', 'sd', 'ug', 'yi', 'dv', 'ckb']);
const LONG = 240, ENOUGH = 110; // characters after which the end of an utterance, or of a sentence, ends the paragraph
const CUE = { characters: 84, ms: 6000, gapMs: 1500 };
const primary = code => code.split('-')[0];

export const direction = code => RIGHT_TO_LEFT.has(primary(code)) ? 'rtl' : 'ltr';

const joined = (before, text, language) => {
  const piece = text.trim();
  if (!before || !piece || UNSPACED.has(primary(language)) || /^[,.;:!?…)\]’]/.test(piece)) return before + piece;
  return `${before} ${piece}`;
};

const element = (name, className, text = '') => Object.assign(document.createElement(name), { className, textContent: text });

export class Transcript {
  constructor(box) {
    this.box = box;
    this.clear();
  }

  clear() {
    this.units = [];
    this.box.replaceChildren();
    this.paragraphs = [];
    this.current = 0; // the paragraph that the next unit belongs to
    this.breaks = this.pauses = true;
    this.tails = {};
    this.who = '';
    this.colors = new Map(); // of speakers, by when they are first heard
  }

  get empty() { return !this.units.length && !this.paragraphs.length; }

  languages(source, target) {
    this.breaks ||= source !== this.source || target !== this.target;
    Object.assign(this, { source, target });
  }

  follow(change) {
    const { scrollTop, scrollHeight, clientHeight } = this.box, near = scrollHeight - scrollTop - clientHeight < 120;
    change();
    if (near) this.box.scrollTop = this.box.scrollHeight;
  }

  paragraph() {
    if (!this.breaks && this.paragraphs.length) return this.paragraphs.at(-1);
    const row = element('div', 'row'), cells = ['source', 'target'].map(side => {
      const cell = element('p', side), language = this[side] || '';
      cell.lang = language;
      cell.dir = language ? direction(language) : 'auto';
      const parts = { said: element('span', 'said'), tail: element('span', 'tail') };
      if (this.who) {
        if (!this.colors.has(this.who)) this.colors.set(this.who, `hsl(${this.colors.size * 137 % 360} 55% 50%)`);
        cell.append(Object.assign(element('b', 'who', `${this.who}: `), { style: `color: ${this.colors.get(this.who)}` }));
      }
      parts.tail.ariaHidden = 'true';
      cell.append(...Object.values(parts));
      row.append(cell);
      return parts;
    });
    const made = { row, source: cells[0], target: cells[1], heard: '', covered: 0, text: '', who: this.who }; // covered: characters in units
    this.box.append(row);
    this.paragraphs.push(made);
    this.breaks = false;
    return made;
  }

  // Words of the speaker, and those that may still change.
  heard({ text, tail, language, ended, speaker = '' }) {
    this.follow(() => {
      if (text.trim() && speaker !== this.who) {
        this.breaks = true;
        this.who = speaker;
      }
      if (text.trim() || tail) {
        const paragraph = this.paragraph();
        paragraph.heard = (this.pauses ? joined(paragraph.heard, text, language) : paragraph.heard + text).trimStart();
        this.pauses = false;
        paragraph.source.said.textContent = paragraph.heard;
        this.tail('source', paragraph, tail);
        const { length } = paragraph.heard;
        this.breaks = !tail && (length > LONG && ended || length > ENOUGH && /[.!?。！？]["”’)]?$/.test(paragraph.heard));
      } else if (!tail) this.tail('source', null, '');
      this.pauses ||= ended;
    });
  }

  tail(side, paragraph, text) {
    if (this.tails[side]) this.tails[side].textContent = '';
    this.tails[side] = paragraph?.[side].tail;
    if (paragraph) paragraph[side].tail.textContent = text && ` ${text.trim()}`;
  }

  unit({ unit, target, text, source, start_ms, end_ms }) {
    this.units.push({ unit, target, text: text.trim(), source, start_ms, end_ms });
    this.follow(() => {
      if (!this.paragraphs.length) this.paragraph();
      const place = one => one.heard.indexOf(source, one.covered);
      const at = this.paragraphs.findIndex((one, index) => index >= this.current && place(one) >= 0);
      if (at >= 0) this.current = at;
      const paragraph = this.paragraphs[this.current] ?? this.paragraphs.at(-1);
      paragraph.covered = at >= 0 ? place(paragraph) + source.length : paragraph.heard.length;
      paragraph.text = joined(paragraph.text, text, target);
      paragraph.target.said.textContent = paragraph.text;
      this.tail('target', null, '');
    });
  }

  draft(text) {
    this.follow(() => this.tail('target', this.paragraphs.at(-1), text));
  }

  // After a loss: words that no unit covers are heard again.
  rewind() {
    this.tail('source', null, '');
    this.tail('target', null, '');
    for (const paragraph of this.paragraphs.slice(this.current)) {
      paragraph.heard = paragraph.heard.slice(0, paragraph.covered);
      paragraph.source.said.textContent = paragraph.heard;
    }
    while (this.paragraphs.length && !this.paragraphs.at(-1).covered && !this.paragraphs.at(-1).text) this.paragraphs.pop().row.remove();
    this.current = Math.min(this.current, Math.max(0, this.paragraphs.length - 1));
    this.pauses = true;
  }

  note(text) {
    if (this.box.lastElementChild?.textContent === text) return;
    this.follow(() => this.box.append(element('p', 'note', text)));
    this.breaks = true;
  }

  cues(side) {
    const cues = [];
    for (const unit of this.units) {
      const text = unit[side], last = cues.at(-1);
      if (!text) continue;
      const language = side === 'text' ? unit.target : this.source || '', longer = last && joined(last.text, text, language);
      if (last && longer.length <= CUE.characters && unit.end_ms - last.start_ms <= CUE.ms
        && unit.start_ms - last.end_ms <= CUE.gapMs && !/[.!?。！？]$/.test(last.text)) {
        Object.assign(last, { text: longer, end_ms: unit.end_ms });
      } else cues.push({ text, start_ms: unit.start_ms, end_ms: unit.end_ms });
    }
    return cues;
  }

  vtt(side) {
    const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
    return `WEBVTT\n\n${this.cues(side).map(cue => `${clock(cue.start_ms)} --> ${clock(cue.end_ms)}\n${escaped(cue.text)}\n`).join('\n')}`;
  }

  srt(side) {
    const time = ms => clock(ms).replace('.', ',');
    return this.cues(side).map((cue, index) => `${index + 1}\n${time(cue.start_ms)} --> ${time(cue.end_ms)}\n${cue.text}\n`).join('\n');
  }

  txt() {
    return this.paragraphs.filter(one => one.heard || one.text).map(one => `${one.who && `${one.who}: `}${one.heard}\n${one.text}\n`).join('\n');
  }
}

const clock = ms => new Date(Math.max(0, ms)).toISOString().slice(11, 23);
