import { EVERYTHING, type Replica } from './replica.js';

/**
 * Compares positions of a replica, whose answers may be those of untyped code.
 *
 * @internal
 */
export class PositionOrder {
  constructor(private readonly replica: Pick<Replica, 'isBefore'>) {}

  /** @throws TypeError for an answer of untyped code, such as a promise */
  isBefore(one: string, other: string): boolean {
    const answer: unknown = this.replica.isBefore(one, other);
    if (typeof answer === 'boolean') return answer;
    throw new TypeError('isBefore() of a replica returned no boolean');
  }

  /** @param otherwise the answer for positions that cannot be compared */
  isBeforeOr(otherwise: boolean, one: string, other: string): boolean {
    try {
      return this.isBefore(one, other);
    } catch {
      return otherwise;
    }
  }

  /** Tells of positions whether a replica has passed them; `null` is not known yet. */
  passedBy(told: string): (position: string | null) => boolean {
    const passed = new Map<string, boolean>();
    return (position) => {
      if (told === EVERYTHING || position === null) return told === EVERYTHING;
      let isPassed = passed.get(position);
      if (isPassed === undefined) {
        isPassed = this.isBeforeOr(false, position, told);
        passed.set(position, isPassed);
      }
      return isPassed;
    };
  }

  /** @throws what `isBefore()` throws for an answer that is no position */
  check(position: string): void {
    if (typeof position === 'string' && !this.isBefore(position, position)) {
      return;
    }
    throw new TypeError('the answer is no position');
  }
}
