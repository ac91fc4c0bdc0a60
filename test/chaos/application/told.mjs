import { affects } from 'nestjs-cache-invalidation';
import { numberOf } from '../replica/positions.mjs';

/** The latest change of each row that messages have told this instance of. */
export class Told {
  /** Greatest positions of commits, in the order of the keys; 0 for none. */
  positions;
  /** Times of the latest messages without a position, in milliseconds; 0 for none. */
  times;
  #keys;
  #indexes;

  constructor(keys) {
    this.#keys = keys;
    this.#indexes = new Map(keys.map((key, index) => [key, index]));
    this.positions = new Float64Array(keys.length);
    this.times = new Float64Array(keys.length);
  }

  hear(message) {
    for (const index of this.#affected(message)) this.#note(index, message);
  }

  #affected(message) {
    if (message.action === 'Batch') {
      return message.entityIds.map((key) => this.#indexes.get(key));
    }
    return this.#keys.flatMap((key, index) =>
      affects(message, key) ? [index] : [],
    );
  }

  #note(index, { at, timestamp }) {
    if (index === undefined) return;
    if (at?.pg === undefined) {
      this.times[index] = Math.max(this.times[index], Date.parse(timestamp));
    } else {
      this.positions[index] = Math.max(this.positions[index], numberOf(at.pg));
    }
  }
}
