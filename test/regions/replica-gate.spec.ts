import { describe, expect, it } from 'vitest';
import { entity, Instance } from '../../lib/message/index.js';
import { NOWHERE, type RelayOutlet } from '../../lib/regions/relay-outlet.js';
import { ReplicaGate } from '../../lib/regions/replica-gate.js';
import { eventually } from '../support/eventually.js';

const instance = new Instance('test', 'us');

/** An outlet that writes down what it is given. */
class Recorder implements RelayOutlet {
  readonly seen: string[] = [];
  begin(): void {
    this.seen.length = 0;
  }
  push({ message, offset }: Parameters<RelayOutlet['push']>[0]): boolean {
    this.seen.push(
      `${message.entityId} ${offset}${message.path ? ' final' : ''}`,
    );
    return true;
  }
  skip(offset: string): void {
    this.seen.push(`skip ${offset}`);
  }
  prove(): void {
    this.seen.push('proof');
  }
  async room(): Promise<void> {}
}

function setUp(
  held: (id: string) => Promise<unknown>,
  timeout = 60_000,
  limit = Infinity,
) {
  const outlet = new Recorder();
  const gate = new ReplicaGate(
    outlet,
    ({ entityId }) => held(entityId ?? ''),
    timeout,
    (message) => ({ ...message, path: ['eu'] }),
    () => undefined,
    limit,
  );
  const push = (id: number) =>
    gate.push({
      message: instance.stamp(entity('User', id)),
      kind: 'next',
      offset: `${id}-0`,
    });
  return { outlet, gate, push };
}

const never = new Promise(() => undefined);

describe('ReplicaGate', () => {
  it('passes messages in their order, whichever is released first', async () => {
    const releases = new Map<string, () => void>();
    const { outlet, push } = setUp(
      (id) => new Promise<void>((resolve) => releases.set(id, resolve)),
    );
    push(1);
    push(2);
    releases.get('2')!();
    await Promise.resolve();
    expect(outlet.seen).toEqual([]);
    releases.get('1')!();
    await eventually(() =>
      expect(outlet.seen).toEqual(['1 1-0 final', '2 2-0 final']),
    );
  });

  it('holds proofs and skipped messages behind a held one, the latter as one', async () => {
    let release = (): void => undefined;
    const { outlet, gate, push } = setUp(
      () => new Promise<void>((resolve) => (release = resolve)),
    );
    push(1);
    for (let id = 2; id <= 20_000; id++) gate.skip(`${id}-0`);
    gate.prove(0);
    expect(outlet.seen).toEqual([]);
    release();
    await eventually(() =>
      expect(outlet.seen).toEqual(['1 1-0 final', 'skip 20000-0', 'proof']),
    );
  });

  it.each<[string, () => Promise<unknown>]>([
    ['is not released in time', () => never],
    ['is refused', () => Promise.reject(new Error('no'))],
    [
      'makes the function throw',
      () => {
        throw new Error('no');
      },
    ],
  ])('passes a message that %s, to be repeated', async (_, held) => {
    const { outlet, push } = setUp(held, 20);
    push(1);
    await eventually(() => expect(outlet.seen).toEqual(['1 1-0']));
  });

  it('has no room for more than ten thousand held messages', () => {
    const { push } = setUp(() => never);
    const taken = Array.from({ length: 10_002 }, (_, id) => push(id));
    expect(taken.filter(Boolean)).toHaveLength(10_001);
  });

  it('has no room for more bytes than its limit', () => {
    const { push } = setUp(() => never, 60_000, 1_000);
    const taken = Array.from({ length: 10 }, (_, id) => push(id));
    expect(taken.filter(Boolean).length).toBeLessThan(4);
  });

  it('forgets what it held when the relay begins again', async () => {
    let release = (): void => undefined;
    const { outlet, gate, push } = setUp(
      () => new Promise<void>((resolve) => (release = resolve)),
    );
    push(1);
    const first = release;
    gate.begin(NOWHERE);
    push(2);
    first();
    release();
    await eventually(() => expect(outlet.seen).toEqual(['2 2-0 final']));
  });
});
