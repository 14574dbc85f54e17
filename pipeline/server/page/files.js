// Files to save: captions of each language, and the whole transcript.
const $ = id => document.getElementById(id);

// Show what there is to save.
export function offerFiles(transcript, nameOf) {
  const kinds = [...transcript.written().map(code => [code, nameOf(code)]), ['source', 'original']];
  const rows = kinds.flatMap(([code, name]) => ['vtt', 'srt'].map(kind => [`${code}.${kind}`, `Captions, ${name}`, kind]));
  $('files').replaceChildren(...[...rows, ['both.txt', 'Transcript, all languages', 'txt']].map(([file, text, kind]) => {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
    button.dataset.file = file;
    button.append(Object.assign(document.createElement('b'), { textContent: kind.toUpperCase() }));
    return button;
  }));
}

export function save(transcript, name) {
  const [side, kind] = name.split('.');
  const content = kind === 'txt' ? transcript.txt() : transcript[kind](side);
  const language = side === 'source' ? transcript.source || 'original' : side;
  const address = URL.createObjectURL(new Blob([content], { type: kind === 'vtt' ? 'text/vtt' : 'text/plain' }));
  Object.assign(document.createElement('a'), { href: address, download: `translate-live-${new Date().toISOString().slice(0, 16).replace(/[T:]/g, '-')}.${language}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
