// A pasted glossary: a term a line, with its translations after "=", a tab, an arrow, or as a spreadsheet gives them.
// Translations are for `language`, if one is named; else for any.
const BETWEEN = /\t|\s*(?:=>|->|→|=)\s*/;

export function glossaryRows(text, language = '') {
  const rows = [];
  for (const line of text.split(/\r?\n/)) {
    const [source, ...rest] = line.trim().split(BETWEEN).map(part => part.trim());
    if (!source || source.startsWith('#')) continue;
    const targets = (rest[0] || '').split('|').map(part => part.trim()).filter(Boolean);
    rows.push(targets.length ? { source, targets, mode: 'hard', language } : { source, targets, mode: 'keep' });
  }
  return rows;
}
