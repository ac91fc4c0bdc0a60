/** Connects before the rest of the page has loaded. */
const events = new EventSource('events');

/** Frames that arrived before there was a listener. */
const early = [];
let tell = (frame) => early.push(frame);

events.addEventListener('message', ({ data }) => tell(JSON.parse(data)));

/**
 * Calls the listeners with every frame, earlier ones included, and with the state of
 * the connection. The browser reconnects by itself, and then receives everything again.
 */
export function follow(onFrame, onConnection) {
  tell = onFrame;
  early.splice(0).forEach((frame) => onFrame(frame));
  events.addEventListener('open', () => onConnection(true));
  events.addEventListener('error', () => onConnection(false));
  if (events.readyState === EventSource.OPEN) onConnection(true);
}
