// Languages that are translated into, side by side: the one of the setup, those added to it, and which of them is heard.

const $ = id => document.getElementById(id);
const MOST = 8, NARROWEST = 170; // languages; pixels of a column
const KEPT = 'translate-live.further';
let offered = { to: [], spoken: [], names: {} }, further = [], wished = '';

export const targets = () => [$('to').value, ...further.filter(code => code !== $('to').value)].filter(Boolean);
export const spokenTargets = () => targets().filter(code => offered.spoken.includes(code));
// The language that is heard; of captions alone, the one that is read first.
export const heardTarget = () => (spokenTargets().includes(wished) ? wished : spokenTargets()[0] ?? targets()[0] ?? '');

export function offerTargets(languages) {
  offered = languages;
  new ResizeObserver(stack).observe($('captions'));
  const [first, ...others] = new URLSearchParams(location.search).get('to')?.split(',') ?? [];
  further = (first ? others : localStorage.getItem(KEPT)?.split(',') ?? []).filter(code => offered.to.includes(code)).slice(0, MOST - 1);
  return first;
}

const keep = () => localStorage.setItem(KEPT, further.join(','));

// Take the language that was chosen to be added; gives its name.
export function addTarget() {
  const code = $('further').value;
  if (targets().includes($('to').value)) further = targets().slice(1); // without what is the first one now
  further.push(code);
  keep();
  return offered.names[code] || code;
}

// Go back to languages that the server took.
export function takeBack({ source, targets: [first, ...others] }) {
  [$('from').value, $('to').value, further] = [source, first, others];
  keep();
}

function removeTarget(code) {
  further = further.filter(one => one !== code);
  keep();
  $('further').dispatchEvent(new Event('change', { bubbles: true }));
  $('further').focus();
}

export function hear(code) { wished = code; }

// Show the heads of the columns; with several languages each can be chosen to be heard, and all but the first taken away.
export function drawTargets() {
  const codes = targets(), several = codes.length > 1, heard = heardTarget();
  $('captions').classList.toggle('several', several);
  $('captions').style.setProperty('--targets', codes.length);
  document.body.classList.toggle('wide', codes.length > 2);
  $('further').replaceChildren(new Option('Add', ''), ...[...$('to').options].filter(({ value }) => !codes.includes(value)).map(({ text, value }) => new Option(text, value)));
  $('further-label').hidden = !$('to').value || codes.length >= MOST || $('further').length < 2;
  const drawn = `${codes} ${several}`, box = $('targets');
  if (box.dataset.drawn !== drawn) {
    box.dataset.drawn = drawn;
    box.replaceChildren(...codes.map((code, at) => head(code, several, at)));
  }
  box.setAttribute('role', several ? 'radiogroup' : 'presentation');
  box.querySelectorAll('input').forEach(radio => {
    radio.checked = radio.value === heard && !radio.disabled;
    radio.parentElement.querySelector('use').setAttribute('href', `icons.svg#${radio.checked ? 'sound' : 'muted'}`);
  });
  stack();
}

function head(code, several, at) {
  const box = Object.assign(document.createElement('div'), { className: 'head' }), name = offered.names[code] || code;
  if (!several) {
    box.textContent = name || 'Translation';
    return box;
  }
  const label = $('head').content.firstElementChild.cloneNode(true), radio = label.querySelector('input');
  Object.assign(radio, { value: code, disabled: !offered.spoken.includes(code) });
  label.title = radio.disabled ? `${name}: captions only` : `Hear ${name}`;
  label.querySelector('span').textContent = name;
  box.append(label);
  if (at) {
    const remove = $('remove').content.firstElementChild.cloneNode(true);
    remove.ariaLabel = remove.title = `Remove ${name}`;
    remove.onclick = () => removeTarget(code);
    box.append(remove);
  }
  return box;
}

// Below each other, where columns would be too narrow.
function stack() {
  const columns = targets().length + 1, { clientWidth } = $('captions');
  $('captions').classList.toggle('stacked', matchMedia('(max-width: 720px)').matches || (columns > 2 && clientWidth / columns < NARROWEST));
}
