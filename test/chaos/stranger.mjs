import { randomBytes, randomUUID } from 'node:crypto';
import { parseCacheKey } from 'nestjs-cache-invalidation/wire';

const EVERY_MS = 5;
const MEMORY = 1_000;

const GARBAGE = [
  '',
  'hello',
  '{',
  'null',
  '[]',
  '12e999',
  '{"message_id":7}',
  '{"action":"Delete"}',
  '{"action":"Delete","entity_type":"User","entity_id":"1"',
  '"\\ud800"',
  '['.repeat(10_000),
];

/**
 * A service in another language and without a journal: it changes rows and
 * publishes in the plain format, publishes garbage, and repeats messages of
 * others.
 */
export class Stranger {
  #publisher;
  #subscriber;
  #channel;
  #database;
  #random;
  #heard = [];
  #timer;

  static async join(stage) {
    const stranger = new Stranger(stage);
    await stranger.#listen();
    return stranger;
  }

  constructor({ redis, channel, database, random }) {
    this.#publisher = redis.admin;
    this.#subscriber = redis.admin.duplicate();
    this.#subscriber.on('error', () => {});
    this.#channel = channel;
    this.#database = database;
    this.#random = random;
  }

  leave() {
    clearInterval(this.#timer);
    this.#subscriber.disconnect();
  }

  async #listen() {
    this.#subscriber.on('message', (_channel, payload) => {
      this.#heard.push(payload);
      if (this.#heard.length > MEMORY) this.#heard.shift();
    });
    await this.#subscriber.subscribe(this.#channel);
    this.#timer = setInterval(() => this.#speak(), EVERY_MS);
  }

  #speak() {
    this.#changeRow();
    this.#publish(this.#oneOf(GARBAGE));
    this.#publish(randomBytes(100));
    const again = this.#oneOf(this.#heard);
    if (again !== undefined) this.#publish(again);
  }

  #changeRow() {
    const key = this.#oneOf(this.#database.keys);
    this.#database.write([key], 'a stranger');
    this.#publish(foreignMessage(key));
  }

  #publish(payload) {
    void this.#publisher.publish(this.#channel, payload);
  }

  #oneOf(list) {
    return list[Math.floor(this.#random() * list.length)];
  }
}

/** A message in the plain format, as a service in another language writes it. */
export function foreignMessage(key) {
  const { entityType, entityId } = parseCacheKey(key);
  return JSON.stringify({
    message_id: randomUUID(),
    entity_type: entityType === 'session' ? { Custom: entityType } : entityType,
    entity_id: entityId,
    pattern: null,
    entity_ids: null,
    action: 'Delete',
    timestamp: new Date().toISOString(),
    source_service: 'stranger',
    metadata: null,
  });
}
