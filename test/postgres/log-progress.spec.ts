import { describe, expect, it } from 'vitest';
import { LogProgress } from '../../lib/postgres/wal/log-progress.js';

/** Microseconds from 1970 to 2000. */
const START_US = 946_684_800_000_000n;

function slotAt(logEnd: bigint, serverTime: number) {
  return {
    activePid: 1,
    isLost: false,
    confirmed: 0n,
    retainedBytes: 0,
    spareBytes: null,
    logEnd,
    serverTime,
  };
}

describe('LogProgress', () => {
  it('tells once that an end of the log was received, and the earliest one first', () => {
    const received: number[] = [];
    const progress = new LogProgress(10n, (asOf) => received.push(asOf));
    progress.received(50n);
    expect(received).toEqual([]);
    progress.await({ lsn: 60n, asOf: 1 });
    progress.await({ lsn: 90n, asOf: 2 });
    progress.received(59n);
    expect(received).toEqual([]);
    progress.received(60n);
    progress.received(100n);
    expect(received).toEqual([1]);
    progress.await({ lsn: 90n, asOf: 3 });
    progress.received(100n);
    expect(received).toEqual([1, 3]);
  });

  it('counts bytes from what is recorded to the end of the log', () => {
    const progress = new LogProgress(10n, () => undefined);
    expect(progress.lag(null).bytes).toBe(0);
    progress.extend(40n);
    progress.looked(slotAt(50n, 0), performance.now());
    progress.extend(45n);
    expect(progress.lag(null).bytes).toBe(40);
    progress.recorded(30n);
    progress.recorded(20n);
    expect(progress.handled).toBe(30n);
    expect(progress.lag(null).bytes).toBe(20);
  });

  it("tells the age of a commit by the server's clock alone", () => {
    const progress = new LogProgress(10n, () => undefined);
    // The server's clock is years away from this one.
    const serverTime = 1_000_000_000_000;
    const committed = BigInt(serverTime - 5_000) * 1_000n - START_US;
    expect(progress.lag(committed).ms).toBe(0);
    progress.looked(slotAt(10n, serverTime), performance.now());
    expect(progress.lag(null).ms).toBe(0);
    const { ms } = progress.lag(committed);
    expect(ms).toBeGreaterThanOrEqual(5_000);
    expect(ms).toBeLessThan(6_000);
    progress.await({ lsn: 60n, asOf: performance.now() - 9_000 });
    expect(progress.lag(committed).ms).toBeGreaterThanOrEqual(9_000);
  });
});
