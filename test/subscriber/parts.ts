import { Logger } from '@nestjs/common';
import { onTestFinished, vi } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import {
  encodeMessage,
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import {
  instanceParts,
  ROOMY,
  type InstanceOptions,
} from '../support/parts.js';
import { ScriptedTransport } from '../support/scripted.transport.js';

const OPTIONS: InstanceOptions = {
  ...ROOMY,
  channel: 'things',
  connection: 'redis://localhost',
  sharded: false,
  startupTimeout: 1_000,
  heartbeatInterval: 100,
  heartbeatTimeout: 20,
  maxStaleness: 0,
  whenStale: 'serve',
};

/** The parts of one instance put together by hand, on a transport that the test scripts. */
export function makeInstance(given: Partial<InstanceOptions> = {}) {
  const lines: string[] = [];
  for (const level of ['log', 'warn', 'error'] as const) {
    const spy = vi
      .spyOn(Logger.prototype, level)
      .mockImplementation((text) => lines.push(`${level}: ${text}`));
    onTestFinished(() => spy.mockRestore());
  }
  const transport = new ScriptedTransport();
  const instance = new Instance('test-service');
  const meter = new InvalidationCounters(instance);
  const options = { ...OPTIONS, ...given };
  const parts = instanceParts(options, instance, transport, meter);
  const errors: CacheInvalidationError[] = [];
  parts.errors.errors$.subscribe((error) => errors.push(error));
  const messages: InvalidationMessage[] = [];
  parts.stream.messages$.subscribe((message) => messages.push(message));
  return {
    ...parts,
    options,
    transport,
    instance,
    meter,
    /** Lines of the log. */
    lines,
    reporter: parts.errors,
    /** Errors that were reported on `errors$`. */
    errors,
    messages,
    /** Ids of the delivered messages, or the cause of a widened one. */
    heard: (): string[] =>
      messages.map(
        ({ widened, entityId, pattern }) =>
          widened ?? entityId ?? pattern ?? 'batch',
      ),
  };
}

const another = new Instance('another');

/** A message of another instance as it leaves that instance, without a place in the journal. */
export const said = (id: string | number, by = another): string =>
  encodeMessage(by.stamp(entity('User', id)), Infinity);

/**
 * Journals a message of another instance.
 *
 * @returns its payload, which the test may hand to the receiver
 */
export function journal(
  { channel }: ScriptedTransport,
  id: string | number,
  by = another,
): string {
  channel.append(said(id, by));
  return channel.journal.at(-1)!.payload;
}
