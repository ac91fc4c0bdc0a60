import { describe, expect, it } from 'vitest';
import { L2Tier, NearCache } from '../../lib/cache/index.js';
import { Fences } from '../../lib/stream/index.js';
import { MemoryL2Store } from '../../lib/transport/index.js';
import { loadWith } from './faulty-code.js';
import { replay } from './fill-replay.js';
import { COUNT, readTraces } from './fill-traces.mjs';

const CODE = { NearCache, L2Tier, Fences, MemoryL2Store };

describe('Near cache: random traces of the model', { timeout: 120_000 }, () => {
  const traces = readTraces();

  it('are distinct', () => {
    expect(new Set(traces).size).toBe(COUNT);
  });

  it('lead to the same outcomes, and to no older copy', async () => {
    for (const trace of traces) expect(await replay(trace, CODE)).toBeNull();
  });

  it.each([
    [
      'a load is kept without its fence',
      'cache/near/cache-tiers.ts',
      'const holds = this.holds(name, loaded);',
      'const holds = true;',
    ],
    [
      'the fence is taken after the load',
      'cache/near/cache-loader.ts',
      `        fence,
        dependencies:`,
      `        fence: this.source.fence(),
        dependencies:`,
    ],
    [
      'a message evicts nothing from memory',
      'cache/near/cache-tiers.ts',
      'for (const key of own) this.#l1.delete',
      'for (const key of []) this.#l1.delete',
    ],
    [
      'an entry is marked with the position after its load',
      'cache/near/cache-tiers.ts',
      'this.l2.put(key, position,',
      'this.l2.put(key, this.source.position!,',
    ],
    [
      'entries of the second tier are served unchecked',
      'cache/shared/l2-tier.ts',
      'fence.holds(key, ...dependencies);',
      'true;',
    ],
    [
      'a claimed offset is stored',
      'cache/shared/l2-commands.ts',
      'if (!(await confirmed)) return false;',
      '',
    ],
    [
      'own messages do not count until their turn',
      'stream/fences.ts',
      '!keys.some((key) => this.#early.affects(key)) &&',
      '',
    ],
    [
      'own messages count from their delivery only',
      'stream/fences.ts',
      '&&\n        this.#settled.unaffected(keys, time)',
      '',
    ],
    [
      'own messages settle after their turn',
      'stream/early-messages.ts',
      'compareOffsets(position, this.#end) < 0',
      'compareOffsets(position, this.#end) <= 0',
    ],
    [
      'a change counts as before its own tick',
      'stream/recent-changes.ts',
      'if (this.#lastNamed(key) > since) return false',
      'if (this.#lastNamed(key) > since + 1) return false',
    ],
    [
      'a fence does not hold after a message of its own tick',
      'stream/recent-changes.ts',
      'if (this.#lastNamed(key) > since) return false',
      'if (this.#lastNamed(key) >= since) return false',
    ],
    [
      'a put replaces a later entry',
      'transport/memory/memory-l2.store.ts',
      'if (there === null || compareOffsets(there, offset) <= 0) {',
      '{',
    ],
    [
      'a put does not replace an entry of its offset',
      'transport/memory/memory-l2.store.ts',
      'compareOffsets(there, offset) <= 0',
      'compareOffsets(there, offset) < 0',
    ],
    [
      'a drop does not compare',
      'transport/memory/memory-l2.store.ts',
      'if (there === null || compareOffsets(there, offset) < 0) {',
      '{',
    ],
    [
      'a drop removes an entry of its offset',
      'transport/memory/memory-l2.store.ts',
      'compareOffsets(there, offset) < 0',
      'compareOffsets(there, offset) <= 0',
    ],
    [
      'recalled messages count as later than they are',
      'stream/fences.ts',
      'this.#changes.record(message, ++time);',
      '++time;',
    ],
  ])('tell it if %s', async (_, file, from, to) => {
    const code = await loadWith({ file, from, to });
    const isDifferent = async (trace: string): Promise<boolean> =>
      (await replay(trace, code)) !== null;
    let found: string | undefined;
    for (const trace of traces) {
      if (found === undefined && (await isDifferent(trace))) found = trace;
    }
    expect(found).toBeDefined();
  });
});
