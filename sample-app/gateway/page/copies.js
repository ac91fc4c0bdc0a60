import { byId, element, write } from './dom.js';

/** `maxStaleness` of a gateway that would widen: the shortest round time that the option allows. */
const MAX_STALENESS = 10_000;

const section = byId('copies');
const body = section.querySelector('tbody');
const staleness = new Map();
let rows = new Map();
let copies = [];

/** Old copies that a gateway serves while it is cut off, until they are fresh again. */
export function drawCopies(frame) {
  for (const { name, state } of frame.services) {
    staleness.set(name, state.health?.staleness ?? 0);
  }
  copies = frame.copies ?? copies;
  section.hidden = copies.length === 0;
  const before = rows;
  rows = new Map();
  for (const copy of copies) {
    const name = `${copy.gateway} ${copy.key}`;
    rows.set(name, before.get(name) ?? addRow(copy));
    before.delete(name);
    drawRow(rows.get(name), copy);
  }
  for (const { line } of before.values()) line.remove();
}

function addRow({ gateway, key }) {
  const name = element(
    'th',
    { scope: 'row' },
    element('span', { className: 'owner' }, gateway),
    ` ${key}`,
  );
  const badge = element('span', { className: 'badge' });
  const text = element('span');
  const served = element('td', {}, badge, ' ', text);
  const widened = element('td');
  const line = element('tr', {}, name, served, widened);
  body.append(line);
  return { line, badge, text, widened };
}

function drawRow({ badge, text, widened }, copy) {
  badge.dataset.state = copy.isOld ? 'disconnected' : 'live';
  write(badge, copy.isOld ? '✕ old' : '● fresh');
  write(text, copy.served);
  write(widened, copy.isOld ? insteadOf(copy) : 'the same');
}

/** The answer of a gateway with `whenStale: 'widen'`. */
function insteadOf({ gateway, owner, row }) {
  const left = MAX_STALENESS - staleness.get(gateway);
  return left > 0
    ? `the old copy too, for another ${Math.ceil(left / 1_000)} s`
    : `asked ${owner}: ${row}`;
}
