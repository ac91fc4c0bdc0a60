import { Injectable } from '@nestjs/common';

/** Followers by user. In memory: they are not the subject of the demo. */
@Injectable()
export class FollowsService {
  readonly #followees = new Map<number, Set<number>>();

  add(userId: number, followeeId: number): void {
    const followees = this.#followees.get(userId) ?? new Set<number>();
    this.#followees.set(userId, followees.add(followeeId));
  }

  of(userId: number): number[] {
    return [...(this.#followees.get(userId) ?? [])];
  }
}
