import { act, post } from './actions.js';
import { byId, count, duration, element, write } from './dom.js';

/** What each state looks like where colours are not seen. */
const SIGNS = {
  live: '●',
  degraded: '◐',
  'catching-up': '↻',
  connecting: '○',
  disconnected: '✕',
  stopped: '■',
  away: '–',
};

const FIGURES = {
  Staleness: ({ health }) =>
    health.staleness === null ? '–' : duration(health.staleness),
  Delivered: ({ stats }) => count(stats.delivered),
  Replayed: ({ stats }) => count(stats.replayed),
  Outbox: ({ health }) => count(health.outbox),
};

const rows = new Map();

export function drawServices(services) {
  for (const { name, state } of services) {
    if (!rows.has(name)) rows.set(name, addRow(name));
    drawRow(rows.get(name), name, state);
  }
  if (services.some(({ state }) => state)) markFirst();
}

/** `npm run bench` reads it. */
function markFirst() {
  if (performance.getEntriesByName('first-state').length > 0) return;
  performance.mark('first-state');
}

function addRow(name) {
  const row = {
    badge: element('span', { className: 'badge' }),
    past: element('p', { className: 'past' }),
    button: element('button', { hidden: true }),
    figures: {},
  };
  const list = element('dl');
  for (const label of Object.keys(FIGURES)) {
    row.figures[label] = element('dd', {}, '–');
    list.append(
      element('div', {}, element('dt', {}, label), row.figures[label]),
    );
  }
  const line = [element('h3', {}, name), row.badge, list, row.button, row.past];
  byId('services')
    .querySelector('ul')
    .append(element('li', {}, ...line));
  row.button.addEventListener('click', () => toggle(row.button, name));
  addSender(name);
  return row;
}

function drawRow(row, name, state) {
  drawBadge(row, name, stateOf(state));
  for (const [label, of] of Object.entries(FIGURES)) {
    drawFigure(row.figures[label], label, state === null ? '–' : of(state));
  }
  write(row.past, state === null ? 'does not answer' : pastOf(state));
  const link = state?.link ?? null;
  row.button.hidden = link === null;
  row.button.dataset.link = link;
  write(row.button, link === 'cut' ? 'Restore' : 'Cut');
  row.button.ariaLabel =
    link === 'cut'
      ? `Restore ${name}'s way to Redis`
      : `Cut ${name} off from Redis`;
  if (link !== null) byId('publish').disabled = false;
}

function drawBadge(row, name, state) {
  if (row.badge.dataset.state === state) return;
  if (row.badge.dataset.state) write(byId('changes'), `${name}: ${state}`);
  row.badge.dataset.state = state;
  row.badge.replaceChildren(
    element('span', { ariaHidden: 'true' }, SIGNS[state]),
    ` ${state}`,
  );
}

/** A replay shall be seen, and so shall what waits. */
function drawFigure(node, label, text) {
  const isNew = label === 'Replayed' && !['–', text].includes(node.textContent);
  write(node, text);
  if (isNew) flash(node);
  node.classList.toggle('waiting', label === 'Outbox' && !/^[0–]$/.test(text));
}

function flash(node) {
  node.classList.remove('flash');
  // Asking for its size makes the browser notice that it was gone.
  void node.offsetWidth;
  node.classList.add('flash');
}

function stateOf(state) {
  if (state === null) return 'away';
  const { health } = state;
  return health.state === 'live' && health.status !== 'up'
    ? 'degraded'
    : health.state;
}

/** `disconnected 4.2 s → catching-up 12 ms → live 3 s` */
function pastOf({ states, health }) {
  const past = states
    .map((each) => `${each.state} ${duration(each.for)}`)
    .join(' → ');
  return health.reason === null ? past : `${past} (${health.reason})`;
}

async function toggle(button, name) {
  const isCut = button.dataset.link === 'cut';
  await act('POST', `services/${name}/${isCut ? 'restore' : 'cut'}`, {}, () =>
    isCut
      ? `${name} can reach Redis again.`
      : `${name} is cut off from Redis. Publish something, then restore it.`,
  );
}

function addSender(name) {
  const isUsual = name === 'user-service';
  byId('from').add(new Option(name, name, isUsual, isUsual));
}
