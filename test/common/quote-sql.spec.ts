import { describe, expect, it } from 'vitest';
import { quoteIdentifier, quoteLiteral } from '../../lib/common/index.js';
import { openPglite } from '../support/pglite.js';

const TEXTS = ['', 'a', `a"b'c`, `\\`, `\\'; drop`, '$$', 'ü\n'];

describe('quoteLiteral() and quoteIdentifier()', () => {
  it('write what PostgreSQL reads as the same text', async () => {
    const database = await openPglite();
    try {
      for (const text of TEXTS) {
        const name = text === '' ? 'x' : text;
        const { rows, fields } = await database.query<Record<string, string>>(
          `select ${quoteLiteral(text)} as ${quoteIdentifier(name)}`,
        );
        expect(fields[0]!.name).toBe(name);
        expect(rows[0]![name]).toBe(text);
      }
    } finally {
      await database.close();
    }
  });
});
