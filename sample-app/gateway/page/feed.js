/** A browser gives up after any answer but 200: 503 while too many pages are open. */
const RETRY_MS = 5_000;

/** Frames that arrived before there was a listener. */
const early = [];
let onFrame = (frame) => early.push(frame);
let onConnection = () => {};
let events;

function connect() {
  events = new EventSource('events');
  events.addEventListener('message', ({ data }) => onFrame(JSON.parse(data)));
  events.addEventListener('open', () => onConnection(true));
  events.addEventListener('error', ({ target }) => {
    onConnection(false);
    if (target.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  });
}

/** Connects before the rest of the page has loaded. */
connect();

/**
 * Calls the listeners with every frame, earlier ones included, and with the state of
 * the connection. It is opened again when it is lost, and then everything is received again.
 */
export function follow(frameListener, connectionListener) {
  onFrame = frameListener;
  onConnection = connectionListener;
  early.splice(0).forEach((frame) => onFrame(frame));
  if (events.readyState === EventSource.OPEN) onConnection(true);
  if (events.readyState === EventSource.CLOSED) onConnection(false);
}
