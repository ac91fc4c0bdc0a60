import { byId, shape } from './dom.js';

const HEIGHT = 300;
const BOX = 42;
/** Upper edges of the rows: gateways, Redis, owners, database. */
const ROWS = { gateways: 4, redis: 100, owners: 188, database: 276 };
const BAND = 36;
const GAP = 10;
/** Room on the left, for the arrow of reads. */
const MARGIN = 26;
/** Half the width of an edge, which is drawn outside its box. */
const EDGE = 1;
/** Below this width, short words. */
const NARROW = 560;

const DATABASE_OF = ['user-service', 'content-service'];

const svg = byId('picture-drawing');
/** State and last counts of each service. */
const known = new Map();

export function drawPicture(services) {
  for (const { name, state } of services) {
    const before = known.get(name)?.state;
    known.set(name, { state, ...talkOf(before, state) });
  }
  if (services.length > 0) draw();
}

export function forgetPicture() {
  for (const name of known.keys()) known.set(name, { state: 'asked' });
  draw();
}

/** Whether the service has published or received since its last state. */
function talkOf(before, { stats }) {
  const more = (of) => (stats?.[of] ?? 0) > (before?.stats?.[of] ?? Infinity);
  return { says: more('published'), hears: more('received') };
}

function draw() {
  const width = svg.clientWidth;
  const isNarrow = width < NARROW;
  const names = [...known.keys()];
  const gateways = names.filter((name) => name.startsWith('gateway'));
  const owners = names.filter((name) => !name.startsWith('gateway'));
  const boxes = [
    ...row(gateways, ROWS.gateways, width),
    ...row(owners, ROWS.owners, width),
  ];
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(
    ...readsOf(boxes),
    ...boxes.map(linkOf),
    ...databaseOf(boxes, isNarrow),
    ...redisOf(width, isNarrow),
    ...boxes.map(boxOf),
  );
  svg.ariaLabel = wordsOf(names);
}

/** Boxes side by side, as wide as possible. */
function row(names, y, width) {
  const all = width - MARGIN - EDGE - GAP * (names.length - 1);
  const room = all / names.length;
  return names.map((name, index) => {
    const x = MARGIN + index * (room + GAP);
    const isAbove = y < ROWS.redis;
    return { name, x, y, width: room, middle: x + room / 2, isAbove };
  });
}

function boxOf({ name, x, y, width, middle }) {
  const state = stateOf(name);
  const isTight = width < 130;
  const shown = isTight ? name.replace('-service', '') : name;
  return shape(
    'g',
    { class: isTight ? 'node tight' : 'node', 'data-state': state },
    shape('rect', { x, y, width, height: BOX, rx: 8 }),
    fitted(words(middle, y + 18, shown, 'name'), shown, width - 10),
    words(middle, y + 34, state, 'state'),
  );
}

/** Arrows between a service and Redis: for published and for received messages. */
function linkOf({ name, middle, isAbove }) {
  const { says, hears } = known.get(name);
  const [near, far] = isAbove
    ? [ROWS.gateways + BOX, ROWS.redis]
    : [ROWS.owners, ROWS.redis + BAND];
  const isCut = linkStateOf(name) === 'cut';
  const line = shape('path', { class: 'link', d: `M${middle} ${near}V${far}` });
  const at = (y) => (isAbove ? y : -y);
  const arrow = (tip, length) =>
    shape('path', { class: 'arrow', d: `M${middle} ${tip}l-5 ${length}h10z` });
  return shape(
    'g',
    { class: 'way', 'data-link': linkStateOf(name) },
    line,
    ...(says && !isCut ? [arrow(far, at(-9))] : []),
    ...(hears && !isCut ? [arrow(near, at(9))] : []),
    ...(isCut ? [words(middle, (near + far) / 2 + 5, '✕ cut', 'cut')] : []),
  );
}

function redisOf(width, isNarrow) {
  const parts = isNarrow
    ? ['channel', 'journal', 'L2']
    : [
        'channel: what changed',
        'journal: what was missed',
        'L2: shared copies',
      ];
  const band = shape('rect', {
    class: 'redis',
    x: MARGIN,
    y: ROWS.redis,
    width: width - MARGIN - EDGE,
    height: BAND,
    rx: 8,
  });
  const step = (width - MARGIN) / 4;
  const texts = ['Redis', ...parts].map((text, index) =>
    words(
      MARGIN + step * (index + 0.5),
      ROWS.redis + 23,
      text,
      index === 0 ? 'name' : 'part',
    ),
  );
  return [band, ...texts];
}

/** Arrow from the gateways around Redis to the owners of rows. */
function readsOf(boxes) {
  const owners = boxes.filter(({ isAbove }) => !isAbove);
  const last = owners.at(-1);
  const first = boxes.find(({ isAbove }) => isAbove);
  if (last === undefined || first === undefined) return [];
  const rail = ROWS.owners + BOX + 14;
  const y = first.y + BOX / 2;
  const d = `M${first.x} ${y}H8V${rail}H${last.middle + 12}`;
  const stubs = owners
    .map(({ middle }) => `M${middle + 12} ${rail}v-8`)
    .join('');
  const tips = owners
    .map(({ middle }) => `M${middle + 12} ${rail - 13}l-4 7h8z`)
    .join('');
  return [
    shape('path', { class: 'reads', d: d + stubs }),
    shape('path', { class: 'tip', d: tips }),
    words(last.middle + 12, rail + 16, 'reads over HTTP', 'part end'),
  ];
}

function databaseOf(boxes, isNarrow) {
  const readers = boxes.filter(({ name }) => DATABASE_OF.includes(name));
  const [first, last] = [readers[0], readers.at(-1)];
  if (first === undefined) return [];
  const bottom = ROWS.owners + BOX;
  const d = readers.map(
    ({ middle }) => `M${middle - 12} ${bottom}V${ROWS.database}`,
  );
  return [
    shape('path', { class: 'rows', d: d.join('') }),
    shape('rect', {
      class: 'database',
      x: first.x,
      y: ROWS.database - 2,
      width: last.x + last.width - first.x,
      height: 24,
      rx: 8,
    }),
    words(
      (first.x + last.x + last.width) / 2,
      ROWS.database + 15,
      isNarrow ? 'PostgreSQL' : 'PostgreSQL: the rows',
      'part',
    ),
  ];
}

function words(x, y, text, of) {
  return shape('text', { x, y, class: of }, text);
}

/** Text, compressed if it would be wider than its box. */
function fitted(node, text, room) {
  const isWide = text.length * (room < 120 ? 6.6 : 8.2) > room;
  if (!isWide) return node;
  node.setAttribute('textLength', room);
  node.setAttribute('lengthAdjust', 'spacingAndGlyphs');
  return node;
}

function stateOf(name) {
  const { state } = known.get(name);
  return typeof state === 'object' ? state.health.state : state;
}

/** `cut`, `up`, or `down` if Redis is away for another reason. */
function linkStateOf(name) {
  const { state } = known.get(name);
  if (typeof state !== 'object') return 'unknown';
  if (state.link === 'cut') return 'cut';
  return state.health.status === 'down' ? 'down' : 'up';
}

/** The picture as text, for screen readers. */
function wordsOf(names) {
  const each = names.map((name) => {
    const link = linkStateOf(name);
    const way = link === 'cut' ? 'cut off from Redis' : `Redis ${link}`;
    return `${name} ${stateOf(name)}, ${way}`;
  });
  return `Who talks to whom. All services publish to the channel and the journal in Redis and receive from them: ${each.join('; ')}. Gateways read from the other services and share copies in Redis; social-service reads from user-service and content-service, communication-service from user-service; user-service and content-service keep their rows in PostgreSQL.`;
}
