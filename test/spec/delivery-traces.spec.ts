import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import * as message from '../../lib/message/index.js';
import { DeliveryCursor } from '../../lib/stream/index.js';
import { RecentOffsets } from '../../lib/stream/recent-offsets.js';
import { replayTrace } from './replay-trace.js';

const CURSOR = join(import.meta.dirname, '../../lib/stream/delivery-cursor.ts');

const traces = gunzipSync(
  readFileSync(join(import.meta.dirname, 'delivery-traces.txt.gz')),
)
  .toString()
  .split('\n');

/** The class of a changed source. */
function mutant(text: string, replacement: string): typeof DeliveryCursor {
  const source = readFileSync(CURSOR, 'utf8');
  expect(source).toContain(text);
  const { outputText } = ts.transpileModule(
    source.replace(text, () => replacement),
    {
      compilerOptions: {
        module: ts.ModuleKind.CommonJS,
        target: ts.ScriptTarget.ES2022,
      },
    },
  );
  const exports: { DeliveryCursor?: typeof DeliveryCursor } = {};
  // oxlint-disable-next-line typescript/no-implied-eval
  new Function('exports', 'require', outputText)(exports, () => ({
    ...message,
    RecentOffsets,
  }));
  return exports.DeliveryCursor!;
}

describe('DeliveryCursor: traces of the model', () => {
  it('are at least ten thousand, each a different one', () => {
    expect(new Set(traces).size).toBeGreaterThanOrEqual(10_000);
  });

  it('have the same decisions in the code', () => {
    const differences = traces
      .map((trace) => replayTrace(DeliveryCursor, trace))
      .filter((difference) => difference !== null);
    expect(differences.slice(0, 3)).toEqual([]);
  });
});

describe('DeliveryCursor: traces of the model notice', () => {
  it.each([
    [
      'an offset that is not later',
      'this.#position ?? JOURNAL_START) > 0 &&',
      'this.#position ?? JOURNAL_START) >= 0 &&',
    ],
    [
      'an offset beyond the horizon',
      '> 0 &&\n      this.limits.horizon.allows(offset)',
      '> 0',
    ],
    ['a message that does not follow', 'previous !== this.#position || ', ''],
    [
      'a first entry that is not the own one',
      'if (first.offset !== this.#position && this.#position !== JOURNAL_START) {\n      return false;\n    }',
      'if (first.offset !== this.#position) this.#position = first.previous;',
    ],
    [
      'another message in the place of the position',
      'if (!this.#isDuplicate(entry)) return false;',
      '',
    ],
    [
      'a broken chain',
      'if (entry.previous !== this.#position) return false;',
      '',
    ],
    ['a restart without "everything"', 'this.sink.widen();', ''],
    [
      'replayed messages that are forgotten',
      'this.#replayed.add(entry.offset);',
      '',
    ],
    [
      'older messages that count as duplicates',
      'if (offset !== this.#position) return false;',
      'if (compareOffsets(offset, this.#position ?? JOURNAL_START) < 0) return true;\n    if (offset !== this.#position) return false;',
    ],
    [
      'held messages that are dropped',
      '        this.sink.deliver(message, false);\n      } else {\n        return',
      '      } else {\n        return',
    ],
    [
      'messages of one place of which one is dropped',
      'return this.sink.deliver(message, false);',
      'return;',
    ],
    [
      'a lost subscription with held messages',
      '    this.#hold([]);\n    this.#early = null;',
      '    this.#early = null;',
    ],
    [
      'an empty journal that is taken for another',
      'if (this.#position === JOURNAL_START) this.#position = null;',
      '',
    ],
    [
      'a beginning before a delivered message',
      'isLater ? early : tail',
      'tail',
    ],
    [
      'an own message whose place is not taken',
      'this.#last = message;\n    // On',
      '// On',
    ],
    [
      'a limit of held messages that is off by one',
      'this.#held.length > messages',
      'this.#held.length >= messages',
    ],
  ])('%s', (_, text, replacement) => {
    const Mutant = mutant(text, replacement);
    expect(traces.some((trace) => replayTrace(Mutant, trace) !== null)).toBe(
      true,
    );
  });
});
