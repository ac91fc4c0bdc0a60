import type { Replica } from '../../lib/replica/index.js';
import { eventually } from '../support/eventually.js';

/** A replica that a test moves; its positions are whole numbers. */
export class HandReplica implements Replica {
  readonly kind = 'hand';
  /** Questions so far. */
  readonly asked = { applied: 0, current: 0 };
  primary = '0';
  fails = false;
  /** The next answer of the primary, if it takes time. */
  nextCurrent: Promise<string> | null = null;
  #applied = '1';
  #onConnect = (): void => {};

  async applied(): Promise<string> {
    this.asked.applied++;
    if (this.fails) throw new Error('the replica is away');
    return this.#applied;
  }

  isBefore(one: string, other: string): boolean {
    return BigInt(one) < BigInt(other);
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
    this.#applied = '1';
  }

  /** Waits until it was asked again, so many times from now on. */
  async wasAsked(times: number): Promise<void> {
    const last = this.asked.applied + times;
    await eventually(() => {
      if (this.asked.applied < last) throw new Error('it was not asked');
    });
  }
}
