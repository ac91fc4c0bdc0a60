import { byId, duration, write } from './dom.js';

const SECONDS = 120;
const HEIGHT = 190;
const LEFT = 52;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 22;

/** Milliseconds; the scale is logarithmic: a replay takes ten thousand times as long. */
const LEAST = 0.1;
const USUAL = 10;

const svg = byId('plot');
const points = new Map();
let drawnAt = 0;

export function addLatencies(added) {
  for (const point of added) points.set(point.second, point);
}

/** Once a second, or when something has been added. */
export function drawPlot(now) {
  const second = Math.floor(now / 1_000);
  if (second === drawnAt) return;
  drawnAt = second;
  for (const each of points.keys()) {
    if (each <= second - SECONDS) points.delete(each);
  }
  draw(second);
}

function draw(second) {
  const width = svg.clientWidth;
  const shown = [...points.values()].toSorted((a, b) => a.second - b.second);
  const scale = scaleFor(second, width, shown);
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(
    ...gridOf(scale, width),
    ...['p99', 'p50'].flatMap((of) => lineOf(shown, scale, of)),
  );
  tell(shown);
}

function scaleFor(second, width, shown) {
  const most = Math.max(USUAL, ...shown.map(({ p99 }) => p99));
  const decades = Math.ceil(Math.log10(most / LEAST));
  const rise = (HEIGHT - TOP - BOTTOM) / decades;
  const step = (width - LEFT - RIGHT) / (SECONDS - 1);
  return {
    decades,
    x: (at) => LEFT + (SECONDS - second + at) * step,
    y: (ms) => HEIGHT - BOTTOM - Math.log10(Math.max(ms, LEAST) / LEAST) * rise,
  };
}

/** A second without messages interrupts it; one that is alone is a dot. */
function lineOf(shown, { x, y }, of) {
  const seconds = new Set(shown.map(({ second }) => second));
  const dots = [];
  let line = '';
  for (const point of shown) {
    const [cx, cy] = [x(point.second), y(point[of])];
    const isNext = seconds.has(point.second - 1);
    line += `${isNext ? 'L' : 'M'}${cx.toFixed(1)} ${cy.toFixed(1)}`;
    if (isNext || seconds.has(point.second + 1)) continue;
    dots.push(shape('circle', { class: of, cx, cy, r: 3 }));
  }
  return [shape('path', { class: of, d: line }), ...dots];
}

function gridOf({ decades, y }, width) {
  const lines = Array.from({ length: decades + 1 }, (_, power) => {
    const ms = LEAST * 10 ** power;
    return [
      shape('path', { class: 'grid', d: `M${LEFT} ${y(ms)}H${width - RIGHT}` }),
      label(
        LEFT - 8,
        y(ms) + 4,
        'end',
        ms < 1_000 ? `${+ms.toFixed(1)} ms` : `${ms / 1_000} s`,
      ),
    ];
  });
  const middle = (LEFT + width - RIGHT) / 2;
  return [
    ...lines.flat(),
    label(LEFT, HEIGHT - 4, 'start', '2 min ago'),
    label(middle, HEIGHT - 4, 'middle', '1 min'),
    label(width - RIGHT, HEIGHT - 4, 'end', 'now'),
  ];
}

function label(x, y, anchor, text) {
  const node = shape('text', { x, y, 'text-anchor': anchor });
  node.textContent = text;
  return node;
}

function shape(tag, attributes) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  return node;
}

/** The same in words. */
function tell(shown) {
  const last = shown.at(-1);
  if (last === undefined) return;
  const [p50, p99] = [duration(last.p50), duration(last.p99)];
  write(byId('p50'), p50);
  write(byId('p99'), p99);
  const highest = duration(Math.max(...shown.map((point) => point.p99)));
  svg.ariaLabel = `Latency in the last two minutes: median ${p50} and 99th percentile ${p99} in the last second with messages; highest 99th percentile ${highest}.`;
}
