import { byId, duration, element, write } from './dom.js';

/** Maximum of rows: as many as the gateway keeps. */
const KEPT = 500;

/** For each reason why a message has no latency, the text and its explanation. */
const LATE = {
  replayed: () => [
    'replayed',
    'Redis was away from the page: this message was read from the journal afterwards.',
  ],
  held: (latency) => [
    `held ${duration(latency)}`,
    'Redis was away from the publisher: this message waited in its outbox.',
  ],
};

const list = byId('messages').querySelector('ol');
const pause = byId('pause');
/** Messages that arrived while the list was paused, to be shown afterwards. */
let waiting = [];

export function startMessages() {
  pause.addEventListener('click', () => {
    const isPaused = pause.ariaPressed !== 'true';
    pause.ariaPressed = String(isPaused);
    write(pause, isPaused ? 'Go on' : 'Pause');
    drawMessages([]);
  });
}

export function drawMessages(messages) {
  waiting = [...waiting, ...messages].slice(-KEPT);
  if (pause.ariaPressed === 'true') return;
  for (const message of waiting) drawRow(rowFor(message.number), message);
  waiting = [];
}

/** Reuses the oldest row; a gateway that restarted counts from zero. */
function rowFor(number) {
  const newest = Number(list.firstElementChild?.dataset.number ?? 0);
  if (number <= newest) list.replaceChildren();
  const row = list.childElementCount < KEPT ? newRow() : list.lastElementChild;
  list.prepend(row);
  return row;
}

function newRow() {
  const parts = ['action', 'says', 'source', 'latency'].map((className) =>
    element('span', { className }),
  );
  return element('li', {}, ...parts);
}

function drawRow(
  row,
  { number, source, region, action, says, widened, latency, late },
) {
  const [actionNode, saysNode, sourceNode, latencyNode] = row.children;
  row.dataset.number = number;
  row.dataset.action = action;
  write(actionNode, action);
  write(saysNode, widened === null ? says : `${says} (widened: ${widened})`);
  saysNode.title = says;
  write(sourceNode, source.replace(/-service$/, ''));
  // A label by CSS: an element more in each of 500 rows would cost.
  if (region === null) delete sourceNode.dataset.region;
  else sourceNode.dataset.region = region;
  const [text, why] =
    late === null ? [duration(latency), ''] : LATE[late](latency);
  write(latencyNode, text);
  latencyNode.title = why;
}
