// Captions alone, by server-sent events. The address chooses: size (px), lines, languages (codes, or source), align, color,
// hold (seconds after which they go), session and ticket.
const asked = new URLSearchParams(location.search), box = document.getElementById('captions');
const wanted = (asked.get('languages') || '').split(',').filter(Boolean), hold = Number(asked.get('hold') || 8) * 1000;
const KEPT = 600; // characters
const lines = new Map();

const style = (name, value) => { if (value) box.style.setProperty(name, value); };
style('--size', asked.has('size') && `${Number(asked.get('size')) || 48}px`);
style('--lines', Number(asked.get('lines')) || 0);
style('--align', asked.get('align'));
style('--color', asked.get('color'));

function line(language) {
  if (!lines.has(language)) {
    const row = document.createElement('div'), text = document.createElement('p'), said = document.createElement('span'), tail = document.createElement('span');
    row.className = 'language';
    text.dir = 'auto';
    if (language !== 'source') text.lang = language;
    tail.className = 'tail';
    text.append(said, tail);
    row.append(text);
    lines.set(language, { row, said, tail });
    const order = wanted.length ? wanted : [...lines.keys()];
    box.append(...order.filter(one => lines.has(one)).map(one => lines.get(one).row));
  }
  return lines.get(language);
}

const UNSPACED = /^(zh|ja|yue|th|lo|km|my)\b/;

function show(language, text, tail, speaker) {
  if (wanted.length ? !wanted.includes(language) : language === 'source') return;
  const one = line(language);
  if (text && speaker && speaker !== one.speaker) text = `${speaker}: ${text.trim()}`;
  if (text) one.speaker = speaker;
  clearTimeout(one.timer);
  if (text) one.said.textContent = `${one.said.textContent}${one.said.textContent && !UNSPACED.test(language) ? ' ' : ''}${text.trim()}`.slice(-KEPT);
  one.tail.textContent = tail ? ` ${tail}` : '';
  one.timer = setTimeout(() => { one.said.textContent = one.tail.textContent = ''; }, hold);
}

const feed = new EventSource(`/captions/feed${location.search}`);
feed.onmessage = ({ data }) => {
  const { language, text, tail, speaker } = JSON.parse(data);
  show(language, text, tail, speaker);
};
