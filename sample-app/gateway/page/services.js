import { act, post } from './actions.js';
import { byId, count, duration, element, write } from './dom.js';

/** Symbol of each state, for readers who do not see its colour. */
const SIGNS = {
  live: '●',
  degraded: '◐',
  'catching-up': '↻',
  connecting: '○',
  disconnected: '✕',
  stopped: '■',
  away: '–',
  asked: '…',
};

/** States that are not shown once they are over. */
const STARTING = ['stopped', 'connecting'];

const FIGURES = {
  Proved: ({ health }) =>
    health.staleness === null ? '–' : `${duration(health.staleness)} ago`,
  Delivered: ({ stats }) => count(stats.delivered),
  Replayed: ({ stats }) => count(stats.replayed),
  Outbox: ({ health }) => count(health.outbox),
};

/** Properties of enabled controls: if one service has controls, all have. */
const ENABLED = { disabled: false, title: '' };

const rows = new Map();

export function drawServices(services) {
  for (const { name, state } of services) {
    if (!rows.has(name)) rows.set(name, addRow(name));
    drawRow(rows.get(name), name, state);
  }
  if (services.some(({ state }) => answered(state))) markFirst();
}

/** Marks all services as unknown. */
export function forgetServices() {
  for (const [name, row] of rows) drawRow(row, name, 'asked');
}

const answered = (state) => typeof state === 'object';

/** A mark that `npm run bench` reads. */
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
  drawBadge(row, name, answered(state) ? healthOf(state) : state);
  for (const [label, of] of Object.entries(FIGURES)) {
    drawFigure(row.figures[label], label, answered(state) ? of(state) : '–');
  }
  write(row.past, answered(state) ? linesOf(state) : '');
  drawButton(row.button, name, state.link ?? null);
}

function drawButton(button, name, link) {
  button.hidden = link === null;
  button.dataset.link = link;
  const isCut = link === 'cut';
  write(button, isCut ? 'Restore' : 'Cut');
  button.ariaLabel = isCut
    ? `Restore the way of ${name} to Redis`
    : `Cut ${name} off from Redis`;
  if (link !== null) Object.assign(byId('publish'), ENABLED);
}

function drawBadge(row, name, state) {
  const before = row.badge.dataset.state ?? 'asked';
  if (before === state && row.badge.hasChildNodes()) return;
  if (![before, state].includes('asked'))
    write(byId('changes'), `${name}: ${state}`);
  row.badge.dataset.state = state;
  row.badge.replaceChildren(
    element('span', { ariaHidden: 'true' }, SIGNS[state]),
    ` ${state}`,
  );
}

/** Highlights replays and waiting messages. */
function drawFigure(node, label, text) {
  const isNew = label === 'Replayed' && !['–', text].includes(node.textContent);
  write(node, text);
  if (isNew) flash(node);
  node.classList.toggle('waiting', label === 'Outbox' && !/^[0–]$/.test(text));
}

function flash(node) {
  node.classList.remove('flash');
  // Reading its size makes the browser notice that the class was gone.
  void node.offsetWidth;
  node.classList.add('flash');
}

function healthOf({ health }) {
  return health.state === 'live' && health.status !== 'up'
    ? 'degraded'
    : health.state;
}

/** Other regions, if there are any, and past states. */
const linesOf = (state) =>
  [heardOf(state), pastOf(state)].filter((line) => line !== '').join(' · ');

/** `us heard 0.8 s ago, ap not heard yet`; empty without regions. */
function heardOf({ health }) {
  return Object.entries(health.regions)
    .map(([region, ms]) =>
      ms === null
        ? `${region} not heard yet`
        : `${region} heard ${duration(ms)} ago`,
    )
    .join(', ');
}

/**
 * `disconnected 4.2 s → catching-up 12 ms → live 3 s`; empty if the state was
 * always live.
 */
function pastOf({ states, health }) {
  const first = states.findIndex(({ state }) => !STARTING.includes(state));
  if (first === states.length - 1 && health.reason === null) return '';
  const past = states
    .slice(Math.max(0, first))
    .map((each) => `${each.state} ${duration(each.for)}`)
    .join(' → ');
  return health.reason === null ? past : `${past} (${health.reason})`;
}

function toggle(button, name) {
  const isCut = button.dataset.link === 'cut';
  return act(`services/${name}/${isCut ? 'restore' : 'cut'}`, post(), () =>
    isCut
      ? `${name} can reach Redis again.`
      : name.startsWith('gateway')
        ? `${name} is cut off from Redis. Update a user that it has read: it goes on serving its copy.`
        : `${name} is cut off from Redis. Publish something, then restore it.`,
  );
}

function addSender(name) {
  const isUsual = name === 'user-service';
  byId('from').add(new Option(name, name, isUsual, isUsual));
}
