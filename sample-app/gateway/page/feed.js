/** Connects while the rest of the page is still on its way. */
const events = new EventSource('events');

/** Came before there was anybody to draw it. */
const early = [];
let tell = (frame) => early.push(frame);

events.addEventListener('message', ({ data }) => tell(JSON.parse(data)));

/**
 * Tells of every frame, those that have come already included, and whether there
 * is a connection. It connects again by itself, and is then told everything anew.
 */
export function follow(onFrame, onConnection) {
  tell = onFrame;
  early.splice(0).forEach((frame) => onFrame(frame));
  events.addEventListener('open', () => onConnection(true));
  events.addEventListener('error', () => onConnection(false));
  if (events.readyState === EventSource.OPEN) onConnection(true);
}
