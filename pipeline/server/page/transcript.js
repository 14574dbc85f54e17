// Source and translations as paragraphs side by side, each with its tentative tail, and as files.
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
  // `nameOf(code)` names a language.
  constructor(box, nameOf = code => code) {
    Object.assign(this, { box, nameOf });
    this.targets = [];
    this.clear();
  }

  clear() {
    this.units = [];
    this.box.replaceChildren();
    this.paragraphs = [];
    this.current = {}; // the paragraph that the next unit belongs to, by target
    this.breaks = this.pauses = true;
    this.tails = {};
    this.who = '';
    this.colors = new Map(); // of speakers, by when they are first heard
  }

  get empty() { return !this.units.length && !this.paragraphs.length; }

  languages(source, targets) {
    this.breaks ||= source !== this.source || String(targets) !== String(this.targets);
    for (const target of targets) this.current[target] ??= Math.max(0, this.paragraphs.length - 1);
    Object.assign(this, { source, targets });
  }

  // The languages that there are captions in.
  written() { return [...new Set(this.units.map(unit => unit.target))]; }

  follow(change) {
    const { scrollTop, scrollHeight, clientHeight } = this.box, near = scrollHeight - scrollTop - clientHeight < 120;
    change();
    if (near) this.box.scrollTop = this.box.scrollHeight;
  }

  paragraph() {
    if (!this.breaks && this.paragraphs.length) return this.paragraphs.at(-1);
    const row = element('div', this.targets.length > 1 ? 'row several' : 'row'), cells = ['source', ...this.targets].map((code, at) => {
      const cell = element('p', at ? 'target' : 'source');
      cell.lang = at ? code : this.source || '';
      cell.dir = cell.lang ? direction(cell.lang) : 'auto';
      if (at) cell.dataset.name = this.nameOf(code);
      const parts = { said: element('span', 'said'), tail: element('span', 'tail') };
      if (this.who) {
        if (!this.colors.has(this.who)) this.colors.set(this.who, `hsl(${this.colors.size * 137 % 360} 55% 50%)`);
        cell.append(Object.assign(element('b', 'who', `${this.who}: `), { style: `color: ${this.colors.get(this.who)}` }));
      }
      parts.tail.ariaHidden = 'true';
      cell.append(...Object.values(parts));
      row.append(cell);
      return [code, { ...parts, text: '', covered: 0 }]; // covered: characters in units
    });
    row.style.setProperty('--targets', this.targets.length);
    const { source, ...said } = Object.fromEntries(cells), made = { row, source, said, heard: '', who: this.who };
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
        this.tail('source', paragraph.source, tail);
        const { length } = paragraph.heard;
        this.breaks = !tail && (length > LONG && ended || length > ENOUGH && /[.!?。！？]["”’)]?$/.test(paragraph.heard));
      } else if (!tail) this.tail('source', null, '');
      this.pauses ||= ended;
    });
  }

  tail(side, cell, text) {
    if (this.tails[side]) this.tails[side].textContent = '';
    this.tails[side] = cell?.tail;
    if (cell) cell.tail.textContent = text && ` ${text.trim()}`;
  }

  unit({ unit, target, text, source, start_ms, end_ms }) {
    this.units.push({ unit, target, text: text.trim(), source, start_ms, end_ms });
    this.follow(() => {
      if (!this.paragraphs.length) this.paragraph();
      const place = one => (one.said[target] ? one.heard.indexOf(source, one.said[target].covered) : -1);
      const at = this.paragraphs.findIndex((one, index) => index >= (this.current[target] ?? 0) && place(one) >= 0);
      if (at >= 0) this.current[target] = at;
      const current = this.paragraphs[this.current[target] ?? 0];
      const paragraph = current?.said[target] ? current : this.paragraphs.findLast(one => one.said[target]);
      if (!paragraph) return;
      const cell = paragraph.said[target];
      cell.covered = at >= 0 ? place(paragraph) + source.length : paragraph.heard.length;
      cell.text = joined(cell.text, text, target);
      cell.said.textContent = cell.text;
      this.tail(target, null, '');
    });
  }

  draft(text, target) {
    this.follow(() => this.tail(target, this.paragraphs.at(-1)?.said[target], text));
  }

  // After a loss: words that units do not cover in each of these languages are heard again.
  rewind(targets) {
    for (const side of ['source', ...this.targets]) this.tail(side, null, '');
    const said = paragraph => Object.values(paragraph.said), first = Math.min(...targets.map(target => this.current[target] ?? 0));
    for (const paragraph of this.paragraphs.slice(first)) {
      const cells = targets.flatMap(target => paragraph.said[target] ?? []);
      paragraph.heard = paragraph.heard.slice(0, Math.min(...(cells.length ? cells : said(paragraph)).map(one => one.covered)));
      paragraph.source.said.textContent = paragraph.heard;
    }
    while (this.paragraphs.length && said(this.paragraphs.at(-1)).every(one => !one.covered && !one.text)) this.paragraphs.pop().row.remove();
    for (const target of this.targets) this.current[target] = Math.min(this.current[target] ?? 0, Math.max(0, this.paragraphs.length - 1));
    this.breaks ||= this.paragraphs.length > 0 && String(Object.keys(this.paragraphs.at(-1).said)) !== String(this.targets);
    this.pauses = true;
  }

  note(text) {
    if (this.box.lastElementChild?.textContent === text) return;
    this.follow(() => this.box.append(element('p', 'note', text)));
    this.breaks = true;
  }

  // The units of a language, or of the source each word once.
  of(side) {
    if (side !== 'source') return this.units.filter(unit => unit.target === side);
    let before = { end_ms: 0 };
    return this.units.toSorted((one, other) => one.start_ms - other.start_ms || one.end_ms - other.end_ms).filter(unit => {
      const again = unit.target !== before.target && unit.start_ms < before.end_ms;
      if (!again) before = unit;
      return !again;
    });
  }

  cues(side) {
    const cues = [];
    for (const unit of this.of(side)) {
      const text = side === 'source' ? unit.source : unit.text, last = cues.at(-1);
      if (!text) continue;
      const language = side === 'source' ? this.source || '' : side, longer = last && joined(last.text, text, language);
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
    const texts = one => Object.values(one.said).map(cell => cell.text).filter(Boolean);
    return this.paragraphs.filter(one => one.heard || texts(one).length).map(one => `${one.who && `${one.who}: `}${[one.heard, ...texts(one)].join('\n')}\n`).join('\n');
  }
}

const clock = ms => new Date(Math.max(0, ms)).toISOString().slice(11, 23);
