import { Injectable } from '@nestjs/common';

/** Who follows whom. In memory: it is the story's stage, not its subject. */
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
