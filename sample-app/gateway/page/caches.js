import { byId, count, element, write } from './dom.js';

const body = byId('caches').querySelector('tbody');
const rows = new Map();

export function drawCaches(services) {
  for (const { name, state } of services) {
    for (const [cache, stats] of Object.entries(state.caches ?? {})) {
      drawRow(rowFor(name, cache), stats);
    }
  }
}

function rowFor(service, cache) {
  const key = `${service} ${cache}`;
  if (!rows.has(key)) rows.set(key, addRow(service, cache));
  return rows.get(key);
}

function addRow(service, cache) {
  const row = {
    bar: element('span', { className: 'bar' }),
    ratio: element('span'),
    figures: Array.from({ length: 4 }, () => element('td')),
  };
  const name = element(
    'th',
    { scope: 'row' },
    element('span', { className: 'owner' }, service),
    ` ${cache}`,
  );
  const ratio = element('td', { className: 'ratio' }, row.bar, row.ratio);
  body.append(element('tr', {}, name, ratio, ...row.figures));
  return row;
}

function drawRow({ bar, ratio, figures }, stats) {
  const { hits, misses, l2Hits, loads, size } = stats;
  const reads = hits + misses;
  const part = reads === 0 ? 0 : hits / reads;
  bar.style.setProperty('--part', part);
  write(ratio, reads === 0 ? '–' : `${Math.round(part * 100)} %`);
  for (const [index, figure] of [hits, l2Hits, loads, size].entries()) {
    write(figures[index], count(figure));
  }
}
