import { decodeMessage, encodeMessage } from 'nestjs-cache-invalidation/wire';
import { rawMessage } from './apps.mjs';
import { interleaved, ratio } from './measure.mjs';

const TIMES = 200_000;
const MAX_BYTES = 4 * 1_048_576;

/** Nanoseconds per message, against the JSON functions alone. */
export async function codec(_url, rounds) {
  // Many different texts, as in production: V8 would cache a single one.
  const texts = Array.from({ length: 1_000 }, (_, i) =>
    JSON.stringify({
      ...rawMessage(String(i)),
      origin: crypto.randomUUID(),
      message_id: crypto.randomUUID(),
    }),
  );
  const values = texts.map((text) => JSON.parse(text));
  // Copies: if the decoder's own objects were kept, V8 would treat them as
  // long-lived and allocate them more slowly from then on.
  const messages = texts.map((text) => ({ ...decodeMessage(text, MAX_BYTES) }));
  const each = (work) => async () => {
    const start = performance.now();
    for (let i = 0; i < TIMES; i++) work(i % texts.length);
    return ((performance.now() - start) * 1e6) / TIMES;
  };
  const result = await interleaved(rounds, {
    'JSON.parse': each((i) => JSON.parse(texts[i])),
    'decode and check': each((i) => decodeMessage(texts[i], MAX_BYTES)),
    'JSON.stringify': each((i) => JSON.stringify(values[i])),
    encode: each((i) => encodeMessage(messages[i], MAX_BYTES)),
  });
  const base = (name) =>
    /JSON|decode/.test(name) && name !== 'JSON.stringify'
      ? 'JSON.parse'
      : 'JSON.stringify';
  return {
    title: 'The codec',
    note: `${TIMES} messages a round.`,
    columns: ['per message', 'to JSON alone'],
    rows: Object.entries(result).map(([name, ns]) => [
      name,
      `${Math.round(ns)} ns`,
      ratio(ns, result[base(name)]),
    ]),
  };
}
