import { drawCaches } from './caches.js';
import { drawCopies } from './copies.js';
import { byId, count, write } from './dom.js';
import { startActions } from './actions.js';
import { follow } from './feed.js';
import { drawMessages, startMessages } from './messages.js';
import { drawPicture, forgetPicture } from './picture.js';
import { addLatencies, drawPlot } from './plot.js';
import { drawServices, forgetServices } from './services.js';

const RATE_MS = 1_000;

/** Two moments about a second apart, with the total of messages at each. */
let before = null;

function drawFigures({ now, total }) {
  write(byId('total'), count(total));
  // A gateway that restarted counts from zero.
  if (before === null || total < before.total) before = { now, total };
  const elapsed = now - before.now;
  if (elapsed < RATE_MS) return;
  const rate = ((total - before.total) / elapsed) * 1_000;
  write(byId('rate'), count(Math.round(rate)));
  before = { now, total };
}

function draw(frame) {
  drawFigures(frame);
  drawServices(frame.services);
  drawPicture(frame.services);
  drawCopies(frame);
  drawCaches(frame.services);
  drawMessages(frame.messages);
  addLatencies(frame.latencies);
  drawPlot(frame.now);
}

function connected(isConnected) {
  if (!isConnected) {
    forgetServices();
    forgetPicture();
  }
  const connection = byId('connection');
  connection.dataset.state = isConnected ? 'on' : 'off';
  write(
    connection,
    isConnected
      ? 'Connected'
      : 'The gateway does not answer, or has too many viewers. Trying again …',
  );
}

startActions();
startMessages();
follow(draw, connected);
