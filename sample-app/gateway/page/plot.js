import { byId, count, duration, shape, write } from './dom.js';
import { axisOf, decadesOf, heightOf, LEAST } from './plot.scale.js';

/** Seconds that are drawn: as many as the gateway keeps. */
const KEPT = 120;
const HEIGHT = 190;
const LEFT = 52;
const RIGHT = 12;
const TOP = 14;
const BOTTOM = 22;
/** Least room between two labels of the axis. */
const LABEL_WIDTH = 60;

const svg = byId('plot');
let points = [];
let drawnAt = 0;

export function addLatencies(added) {
  if (added.length === 0) return;
  const first = added[0].second;
  // After a lost connection everything is received again.
  points = [...points.filter(({ second }) => second < first), ...added];
  points = points.slice(-KEPT);
}

/** Draws the plot, once a second. */
export function drawPlot(now) {
  const second = Math.floor(now / 1_000);
  if (second === drawnAt) return;
  drawnAt = second;
  const width = svg.clientWidth;
  const { shown, pauses } = axisOf(points, second);
  const scale = scaleFor(width, decadesOf(shown));
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(
    ...gridOf(scale),
    ...axisLabels(scale, shown, pauses),
    ...['p99', 'p50'].flatMap((of) => lineOf(shown, scale, of)),
    ...shown.filter(({ late }) => late > 0).map((each) => markOf(each, scale)),
  );
  tell(shown);
}

function scaleFor(width, decades) {
  const rise = HEIGHT - TOP - BOTTOM;
  return {
    decades,
    right: width - RIGHT,
    x: (at) => LEFT + at * (width - RIGHT - LEFT),
    y: (ms) => HEIGHT - BOTTOM - heightOf(ms, decades) * rise,
  };
}

/** A second without measurements interrupts the line; a single second is a dot. */
function lineOf(shown, { x, y }, of) {
  const measured = shown.filter((point) => point[of] !== null);
  const seconds = new Set(measured.map(({ second }) => second));
  const dots = [];
  let line = '';
  for (const point of measured) {
    const [cx, cy] = [x(point.at), y(point[of])];
    const isNext = seconds.has(point.second - 1);
    line += `${isNext ? 'L' : 'M'}${cx.toFixed(1)} ${cy.toFixed(1)}`;
    if (isNext || seconds.has(point.second + 1)) continue;
    dots.push(shape('circle', { class: of, cx, cy, r: 3 }));
  }
  return [shape('path', { class: of, d: line }), ...dots];
}

/** Marks for messages that were not measured. */
function markOf({ at, late }, { x }) {
  const title = `${count(late)} replayed or held back`;
  const d = `M${x(at) - 5} 1h10l-5 9z`;
  return shape('path', { class: 'late', d }, shape('title', {}, title));
}

function gridOf({ decades, right, y }) {
  return Array.from({ length: decades + 1 }, (_, power) => {
    const ms = LEAST * 10 ** power;
    const text = ms < 1_000 ? `${+ms.toFixed(1)} ms` : `${ms / 1_000} s`;
    return [
      shape('path', { class: 'grid', d: `M${LEFT} ${y(ms)}H${right}` }),
      label(LEFT - 8, y(ms) + 4, 'end', text),
    ];
  }).flat();
}

/** Labels of the time axis: the first second, each omitted silence, and now. */
function axisLabels({ x, right }, shown, pauses) {
  const nodes = [label(right, HEIGHT - 4, 'end', 'now')];
  let free = right - 30;
  for (const { at, seconds } of pauses) {
    nodes.push(
      shape('path', {
        class: 'pause',
        d: `M${x(at)} ${TOP}V${HEIGHT - BOTTOM}`,
      }),
    );
    if (x(at) + LABEL_WIDTH / 2 > free) continue;
    free = x(at) - LABEL_WIDTH / 2;
    const text = `⋯ ${duration(seconds * 1_000)} ⋯`;
    nodes.push(label(x(at), HEIGHT - 4, 'middle', text));
  }
  const first = shown[0];
  if (first === undefined || x(first.at) + LABEL_WIDTH > free) return nodes;
  const time = new Date(first.second * 1_000).toLocaleTimeString('en-GB');
  return [...nodes, label(x(first.at), HEIGHT - 4, 'start', time)];
}

function label(x, y, anchor, text) {
  return shape('text', { x, y, 'text-anchor': anchor }, text);
}

/** The plot as text, for screen readers. */
function tell(shown) {
  const measured = shown.filter((point) => point.p50 !== null);
  const late = shown.reduce((sum, point) => sum + point.late, 0);
  write(byId('late'), count(late));
  const last = measured.at(-1);
  if (last === undefined) return;
  const [p50, p99] = [duration(last.p50), duration(last.p99)];
  write(byId('p50'), p50);
  write(byId('p99'), p99);
  const highest = duration(Math.max(...measured.map((point) => point.p99)));
  svg.ariaLabel = `Latency in the last ${count(measured.length)} seconds with messages: median ${p50} and 99th percentile ${p99} in the last of them; highest 99th percentile ${highest}. ${count(late)} messages were replayed or held back, and are not measured.`;
}
