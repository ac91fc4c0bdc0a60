/** The example of docs/replicas.md for MySQL, run against a fake of it. */
import ts from 'typescript';
import { describe, expect, it, vi } from 'vitest';
import type { Replica } from '../../lib/replica/index.js';
import { blocksOf } from '../docs/markdown.js';

type Ask = (sql: string) => Promise<string>;
interface Example {
  mysqlReplica(read: Ask, primary: Ask): Replica;
}

const SOURCE = '3e11fa47-71ca-11e1-9e33-c80aa9429562';

async function example(): Promise<Example> {
  const block = blocksOf('docs/replicas.md').find(({ code }) =>
    code.includes('function mysqlReplica'),
  );
  const { outputText } = ts.transpileModule(block!.code, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
    },
  });
  const url = `data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`;
  return (await import(/* @vite-ignore */ url)) as Example;
}

describe('The example for MySQL', () => {
  it('passes a position once the replica has executed all of the primary', async () => {
    const { mysqlReplica } = await example();
    const read = vi.fn<Ask>(async () => `${SOURCE}:1-6`);
    const replica = mysqlReplica(read, async () => `${SOURCE}:1-7`);
    const position = await replica.current!();

    expect(replica.isBefore(position, await replica.applied())).toBe(false);
    read.mockResolvedValue(`${SOURCE}:1-7`);
    expect(replica.isBefore(position, await replica.applied())).toBe(true);
  });

  it('compares numbers, and refuses what it cannot read', async () => {
    const { mysqlReplica } = await example();
    const { isBefore } = mysqlReplica(vi.fn(), vi.fn());

    expect(isBefore(`${SOURCE}:1-9`, `${SOURCE}:1-10`)).toBe(true);
    expect(isBefore(`${SOURCE}:1-10`, `${SOURCE}:1-9`)).toBe(false);
    const other = SOURCE.replace('3e', '4e');
    expect(() => isBefore(`${SOURCE}:1-9`, `${other}:1-10`)).toThrow(
      'sets of two sources',
    );
    for (const set of ['', `${SOURCE}:1-5:7-9`, `${SOURCE}:1,${SOURCE}:2`]) {
      expect(() => isBefore(set, set)).toThrow('no set of one source');
    }
  });
});
