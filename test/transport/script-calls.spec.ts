import type { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { ScriptCalls } from '../../lib/transport/redis/script-calls.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { about, idsOf } from './messages.js';
import { startTransport } from './transport.contract.js';
import { startServer } from '../support/redis-server.js';

/** A client that records calls, which the test answers. */
class ScriptedClient {
  readonly sent: string[] = [];
  readonly #answers: ((answer: string | Error) => void)[] = [];

  evalsha = (_sha: string, _keys: number, id: string) => this.#send(id);
  eval = (_script: string, _keys: number, id: string) =>
    this.#send(`${id} with the script`);

  /** Answers the calls in their order. */
  async answer(answer: string | Error): Promise<void> {
    this.#answers.shift()!(answer);
    await new Promise((resolve) => setImmediate(resolve));
  }

  #send(what: string): Promise<string> {
    this.sent.push(what);
    return new Promise((resolve, reject) =>
      this.#answers.push((answer) =>
        answer instanceof Error ? reject(answer) : resolve(answer),
      ),
    );
  }
}

function startCalls(): { client: ScriptedClient; calls: ScriptCalls } {
  const client = new ScriptedClient();
  const calls = new ScriptCalls(client as unknown as Redis, 'return 1');
  return { client, calls };
}

const UNKNOWN = new Error('NOSCRIPT No matching script.');

describe('ScriptCalls', () => {
  it('send the script with the first call only', async () => {
    const { client, calls } = startCalls();
    const all = ['1', '2'].map((id) => calls.call([1, id]));
    await client.answer('one');
    await client.answer('two');
    expect(await Promise.all(all)).toEqual(['one', 'two']);
    expect(client.sent).toEqual(['1 with the script', '2']);
  });

  it('keep their order when Redis has lost the script, ahead of newer calls', async () => {
    const { client, calls } = startCalls();
    const all = ['1', '2', '3'].map((id) => calls.call([1, id]));
    await client.answer('one');
    await client.answer(UNKNOWN);
    all.push(calls.call([1, '4']));
    // The fourth call is held back: the third is not answered yet.
    expect(client.sent).toHaveLength(3);
    await client.answer(UNKNOWN);
    expect(client.sent.slice(3)).toEqual(['2 with the script', '3', '4']);
    for (const answer of ['two', 'three', 'four']) await client.answer(answer);
    expect(await Promise.all(all)).toEqual(['one', 'two', 'three', 'four']);
  });

  it('keep their order when the script is lost again meanwhile', async () => {
    const { client, calls } = startCalls();
    const all = ['1', '2'].map((id) => calls.call([1, id]));
    await client.answer(UNKNOWN);
    await client.answer(UNKNOWN);
    all.push(calls.call([1, '3']));
    await client.answer('one');
    await client.answer(UNKNOWN);
    await client.answer(UNKNOWN);
    expect(client.sent.slice(-2)).toEqual(['2 with the script', '3']);
    await client.answer('two');
    await client.answer('three');
    expect(await Promise.all(all)).toEqual(['one', 'two', 'three']);
  });

  it('are not sent again after they were abandoned', async () => {
    const { client, calls } = startCalls();
    const all = ['1', '2', '3'].map((id) => calls.call([1, id]));
    await client.answer(UNKNOWN);
    all.push(calls.call([1, '4']));
    const settled = Promise.allSettled(all);
    calls.abandon(new Error('The connection broke.'));
    const next = calls.call([1, '5']);
    expect(client.sent).toEqual([
      '1 with the script',
      '2',
      '3',
      '5 with the script',
    ]);
    // Answers to the earlier calls do not affect the new ones.
    await client.answer('two');
    await client.answer(UNKNOWN);
    await client.answer('five');
    expect(await next).toBe('five');
    const broken = new Error('The connection broke.');
    expect(await settled).toMatchObject([
      { reason: broken },
      { value: 'two' },
      { reason: UNKNOWN },
      { reason: broken },
    ]);
  });

  it('use EVAL when Redis, or a proxy, does not support EVALSHA', async () => {
    const { client, calls } = startCalls();
    await Promise.all([calls.call([1, '1']), client.answer('one')]);
    const second = calls.call([1, '2']);
    await client.answer(new Error("ERR unknown command 'evalsha'"));
    await client.answer('two');
    expect(await second).toBe('two');
  });
});

it('ScriptCalls: several publishers keep their order while the script cache is flushed', async () => {
  const server = await startServer();
  const channel = uniqueChannel();
  // No two of them choose one copy of the script, as one pair of 1,024 would.
  let choices = 0;
  const random = vi.spyOn(Math, 'random');
  onTestFinished(() => random.mockRestore());
  random.mockImplementation(() => (choices++ % 100) / 100);
  const senders = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const transport = new RedisTransport({
        connection: server.url,
        channel,
        journal: { maxLength: 10_000 },
        sharded: false,
        maxMessageBytes: 1_048_576,
      });
      await startTransport(transport);
      return transport;
    }),
  );
  const raw = connectRaw(server.url);
  const sending: Promise<unknown>[] = [];
  for (let round = 0; round < 30; round++) {
    void raw.script('FLUSH');
    for (let call = 0; call < 20; call++) {
      for (const [at, sender] of senders.entries()) {
        const id = at * 10_000 + round * 100 + call;
        sending.push(sender.publish([about(id)]));
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await Promise.all(sending);

  const entries = await raw.xrange(`{${channel}}:journal`, '-', '+');
  const ids = idsOf(entries.map(([, [, payload]]) => payload!)).map(Number);
  expect(ids).toHaveLength(senders.length * 600);
  for (const at of senders.keys()) {
    const own = ids.filter((id) => Math.floor(id / 10_000) === at);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  }
});
