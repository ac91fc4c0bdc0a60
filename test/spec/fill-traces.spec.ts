import { describe, expect, it } from 'vitest';
import { L2Tier, NearCache } from '../../lib/cache/index.js';
import { Fences } from '../../lib/stream/index.js';
import { MemoryL2Store } from '../../lib/transport/index.js';
import { replay } from './fill-replay.js';
import { COUNT, readTraces } from './fill-traces.mjs';

const CODE = { NearCache, L2Tier, Fences, MemoryL2Store };

describe('Near cache: random traces of the model', () => {
  const traces = readTraces();

  it('are distinct', () => {
    expect(new Set(traces).size).toBe(COUNT);
  });

  it('never lead to a copy that is older than the model allows', async () => {
    for (const trace of traces) expect(await replay(trace, CODE)).toBeNull();
  });
});
