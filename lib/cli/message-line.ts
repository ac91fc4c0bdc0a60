import { keysOf, parseTimestamp } from '../message/index.js';
import type { ReceivedMessage } from './received-message.js';
import type { Format, Io } from './io.js';
import { showDuration } from './duration.js';
import { jsonLine, visible } from './visible.js';

const KEYS_SHOWN = 5;
const PAYLOAD_SHOWN = 200;

const COLOURS: Record<string, Format> = {
  Delete: 'red',
  Update: 'yellow',
  Batch: 'magenta',
  Pattern: 'cyan',
};

/** A message as text: time, service, action, subject, latency, size. @internal */
export function textLine(
  received: ReceivedMessage,
  style: Io['style'],
): string {
  const { message, payload } = received;
  const size = style('dim', `${Buffer.byteLength(payload)} B`);
  if (message === null) {
    const time = style('dim', clock(received.receivedAt));
    const problem = style('red', `malformed  ${visible(received.problem!)}`);
    return [time, problem, visible(payload), size].join('  ');
  }
  const { action, sourceService, widened } = message;
  // A replayed message has its own time.
  const time = received.replayed
    ? parseTimestamp(message.timestamp)
    : received.receivedAt;
  const columns = [
    style('dim', clock(time)),
    visible(sourceService, 40).padEnd(20),
    style(COLOURS[action] ?? 'red', action.padEnd(7)),
    style('bold', subject(received).padEnd(24)),
    style(
      'dim',
      received.replayed ? 'journal' : showDuration(latencyOf(received)!),
    ),
    size,
  ];
  if (received.unverified !== null) {
    columns.push(style('red', `not obeyed: ${received.unverified}`));
  }
  if (widened) columns.push(style('yellow', 'not understood, so widened'));
  return columns.join('  ');
}

/** A message as JSON: as it was written, and how it was received. @internal */
export function messageJson(received: ReceivedMessage): string {
  const { payload, message, receivedAt, replayed, unverified } = received;
  const came = {
    receivedAt: new Date(receivedAt).toISOString(),
    latencyMs: latencyOf(received),
    bytes: Buffer.byteLength(payload),
    replayed,
    ...(unverified !== null && { unverified }),
  };
  return jsonLine(
    message === null
      ? {
          malformed: received.problem,
          payload: payload.slice(0, PAYLOAD_SHOWN),
          ...came,
        }
      : { ...(JSON.parse(payload) as object), ...came },
  );
}

/** The cache keys or the pattern, in short. */
function subject({ message }: ReceivedMessage): string {
  const keys = keysOf(message!);
  if (keys === null) return visible(message!.pattern ?? '');
  const shown = keys.slice(0, KEYS_SHOWN).map((key) => visible(key, 80));
  const more = keys.length - shown.length;
  return shown.join(' ') + (more > 0 ? ` and ${more} more` : '');
}

/** Milliseconds between two clocks: below zero if the publisher's is ahead. */
function latencyOf({
  message,
  receivedAt,
  replayed,
}: ReceivedMessage): number | null {
  if (message === null || replayed) return null;
  const ms = receivedAt - parseTimestamp(message.timestamp);
  return Math.round(ms * 1_000) / 1_000;
}

/** A time of day in the local time zone. */
function clock(time: number): string {
  const date = new Date(time);
  const [hours, minutes, seconds] = [
    date.getHours(),
    date.getMinutes(),
    date.getSeconds(),
  ].map((part) => String(part).padStart(2, '0'));
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${hours}:${minutes}:${seconds}.${ms}`;
}
