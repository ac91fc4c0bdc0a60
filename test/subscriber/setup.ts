import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { AbstractConnector, type Redis, type RedisOptions } from 'ioredis';
import type { InvalidationMessage } from 'nestjs-cache-invalidation';
import { expect, onTestFinished } from 'vitest';
import {
  connectRaw,
  said,
  startApp,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { HOST, type RedisServer } from '../support/redis.js';
import { startServer } from '../support/redis-server.js';

/** A time that exceeds the timeout of every test. */
export const FOREVER = 100_000;

/** Options for tests in which a heartbeat must not do the work of something else. */
export const NO_HEARTBEAT = { heartbeatInterval: FOREVER };

export const patient = { timeout: 15_000 };

/** Messages of an application: `User:1`, or the cause of the widening. */
export const summary = (app: TestApp): string[] => app.messages.map(summaryOf);

const summaryOf = (message: InvalidationMessage): string =>
  message.widened ?? said(message);

export const hears = (app: TestApp, expected: string[]): Promise<void> =>
  eventually(() => expect(summary(app)).toEqual(expected), patient);

export const becomes = (app: TestApp, state: string): Promise<void> =>
  eventually(() => expect(app.subscriber.status.state).toBe(state), patient);

/** Number of times that the application has gone live. */
export const timesLive = (app: TestApp): number =>
  app.states.filter((state) => state === 'live').length;

export const users = (...ids: (string | number)[]): string[] =>
  ids.map((id) => `User:${id}`);

export const numbers = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => i);

export const journalOf = (channel: string): string => `{${channel}}:journal`;

/** A message of a service that does not send its origin. */
export function wire(id: string | number, fields: object = {}): string {
  return JSON.stringify({
    message_id: randomUUID(),
    entity_type: 'User',
    entity_id: String(id),
    action: 'Delete',
    timestamp: new Date().toISOString(),
    source_service: 'a-script',
    ...fields,
  });
}

/**
 * Journals the payloads, and publishes them unless the channel is ''. The
 * script of the library has no such option.
 */
const SAY = `
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local previous = last and last[1] or '0-0'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 2, #ARGV do
  local ms, seq = string.match(previous, '^(%d+)-(%d+)$')
  -- No ID is given twice, even if the journal was deleted a moment ago.
  local nonce = tonumber(string.sub(ARGV[i], 16, 20), 16)
  if now > tonumber(ms) then ms, seq = now, 0 end
  local id = string.format('%.0f-%.0f', ms, seq + 1 + nonce)
  local payload = string.sub(ARGV[i], 1, -2)
    .. ',"offset":"' .. id .. '","previous":"' .. previous .. '"}'
  redis.call('XADD', KEYS[1], id, 'm', payload)
  if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], payload) end
  previous = id
end
return previous
`;

/** Publishes on a channel by hand, and makes faults there. */
export class Hand {
  readonly redis: Redis;
  readonly journal: string;

  constructor(
    server: { readonly url: string },
    readonly channel: string,
  ) {
    this.redis = connectRaw(server.url);
    this.journal = journalOf(channel);
  }

  /** Journals and publishes messages. @returns the offset of the last one */
  async say(...ids: (string | number)[]): Promise<string> {
    return String(await this.redis.eval(...this.saying(ids)));
  }

  /** Journals messages that are lost on their way to every subscriber. */
  async mumble(...ids: (string | number)[]): Promise<string> {
    return String(await this.redis.eval(...this.saying(ids, '')));
  }

  /** Arguments of EVAL, for a transaction. */
  saying(
    ids: readonly (string | number)[],
    channel: string = this.channel,
    fields: object = {},
  ): [string, number, ...string[]] {
    const payloads = ids.map((id) => wire(id, fields));
    return [SAY, 1, this.journal, channel, ...payloads];
  }

  /**
   * Acts while no instance is subscribed: Redis executes the transaction in one
   * step.
   */
  async whileAllAreAway(
    act: (multi: ReturnType<Redis['multi']>) => void,
  ): Promise<void> {
    const multi = this.redis.multi();
    multi.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    act(multi);
    for (const [error] of (await multi.exec()) ?? []) {
      if (error !== null) throw error;
    }
  }

  async killSubscriptions(): Promise<void> {
    await this.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  }
}

/** The two connections of an instance, which can be broken separately. */
export interface Links {
  readonly commands: Proxy;
  readonly subscription: Proxy;
  readonly connection: RedisOptions;
}

export async function startLinks(server: RedisServer): Promise<Links> {
  const commands = await startProxy(server.port);
  const subscription = await startProxy(server.port);
  onTestFinished(async () => {
    await commands.close();
    await subscription.close();
  });
  const connection = connectionTo((isSubscription) =>
    isSubscription ? subscription.port : commands.port,
  );
  return { commands, subscription, connection };
}

/** @param port called before each try to connect */
export function connectionTo(
  port: (isSubscription: boolean) => number,
): RedisOptions {
  return {
    Connector: class extends AbstractConnector {
      readonly #isSubscription: boolean;

      constructor(options: unknown) {
        const { disconnectTimeout = 0, autoResubscribe } =
          options as RedisOptions;
        super(disconnectTimeout);
        this.#isSubscription = autoResubscribe === false;
      }

      override async connect() {
        const socket = connect(port(this.#isSubscription), HOST);
        this.connecting = true;
        this.stream = socket;
        return socket;
      }
    },
  };
}

/** Starts an application on two proxies, and a hand on its channel. */
export async function startOnLinks(
  options: AppOptions = {},
): Promise<{ app: TestApp; hand: Hand; links: Links; server: RedisServer }> {
  const server = await startServer();
  const links = await startLinks(server);
  const app = await startApp({ connection: links.connection, ...options });
  return { app, links, server, hand: new Hand(server, app.channel) };
}
