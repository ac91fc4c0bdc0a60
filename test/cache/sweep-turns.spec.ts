import { describe, expect, it } from 'vitest';
import { sweepTurns } from '../../lib/cache/near/sweep-turns.js';

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('SweepTurns', () => {
  it('runs one step in each turn of the event loop, in order', async () => {
    const ran: string[] = [];
    const again = (): void => void ran.push('again');
    sweepTurns.add(() => {
      ran.push('first');
      sweepTurns.add(again);
    });
    sweepTurns.add(() => void ran.push('second'));
    expect(ran).toEqual([]);
    await turn();
    expect(ran).toEqual(['first']);
    await turn();
    expect(ran).toEqual(['first', 'second']);
    await turn();
    expect(ran).toEqual(['first', 'second', 'again']);
    sweepTurns.add(again);
    await turn();
    expect(ran).toHaveLength(4);
  });

  it('does not run a step that was removed, and runs those that are added later', async () => {
    const ran: string[] = [];
    const removed = (): void => void ran.push('removed');
    sweepTurns.add(removed);
    sweepTurns.remove(removed);
    await turn();
    expect(ran).toEqual([]);
    sweepTurns.add(() => void ran.push('later'));
    await turn();
    expect(ran).toEqual(['later']);
  });
});
