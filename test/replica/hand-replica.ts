import { parseLsn } from '../../lib/message/index.js';
import type { Replica } from '../../lib/replica/index.js';
import { eventually } from '../support/eventually.js';

/** A replica that a test moves; its positions are whole numbers, or those of PostgreSQL. */
export class HandReplica implements Replica {
  /** Questions so far. */
  readonly asked = { applied: 0, current: 0 };
  primary: string;
  fails = false;
  /** The next answer of the primary, if it takes time. */
  nextCurrent: Promise<string> | null = null;
  #applied: string;
  #onConnect = (): void => {};

  constructor(readonly kind: 'hand' | 'pg' = 'hand') {
    this.primary = this.#position(0);
    this.#applied = this.#position(1);
  }

  async applied(): Promise<string> {
    this.asked.applied++;
    if (this.fails) throw new Error('the replica is away');
    return this.#applied;
  }

  isBefore(one: string, other: string): boolean {
    return this.#read(one) < this.#read(other);
  }

  async current(): Promise<string> {
    this.asked.current++;
    if (this.fails) throw new Error('the primary is away');
    const next = this.nextCurrent;
    this.nextCurrent = null;
    return next ?? this.primary;
  }

  onConnect(listener: () => void): () => void {
    this.#onConnect = listener;
    return () => (this.#onConnect = () => {});
  }

  connect(): void {
    this.#onConnect();
  }

  /** It has replayed up to here. */
  at(position: string): void {
    this.#applied = position;
  }

  /** Stays where it is, before every position that a test uses. */
  hold(): void {
    this.#applied = this.#position(1);
  }

  #position(at: number): string {
    return this.kind === 'pg' ? `0/${at}` : String(at);
  }

  #read(position: string): bigint {
    if (this.kind === 'hand') return BigInt(position);
    const lsn = parseLsn(position);
    if (lsn === null) throw new TypeError('no position');
    return lsn;
  }

  /** Waits until it was asked again, so many times from now on. */
  async wasAsked(times: number): Promise<void> {
    const last = this.asked.applied + times;
    await eventually(() => {
      if (this.asked.applied < last) throw new Error('it was not asked');
    });
  }
}
