import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compile, errorsIn, root } from './compile.js';

const NAME = join(root, 'test/types/misfit.virtual.ts');

it.each([
  [
    '(id: number) => id',
    'The selector does not fit the parameters of the method',
  ],
  [
    'fromResult((id: number) => id)',
    'fromResult() does not fit what the method returns',
  ],
])(
  'a selector that does not fit fails with a readable error: %s',
  { timeout: 120_000 },
  (selector, words) => {
    const program = compile(
      NAME,
      `import { fromResult, InvalidatesCache } from 'nestjs-cache-invalidation';
      export const used = fromResult;
      export class Service {
        @InvalidatesCache('User', ${selector})
        async update(id: string): Promise<string> { return id; }
      }`,
    );
    const errors = errorsIn(program, NAME);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({
      line: 4,
      text: expect.stringContaining(words),
    });
  },
);
