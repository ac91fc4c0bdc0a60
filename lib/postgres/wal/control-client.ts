import type { Client, QueryConfig } from 'pg';

/**
 * A connection for queries, one after the other: node-postgres is about to refuse a query
 * while another one runs.
 *
 * @internal
 */
export class ControlClient {
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly client: Client) {}

  /** @returns the rows */
  query<Row extends object>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<Row[]> {
    const answer = this.#last.then(async () => {
      const given = typeof text === 'string' ? { text } : text;
      const result = await this.client.query<Row>(
        values === undefined ? given : { ...given, values: [...values] },
      );
      return result.rows;
    });
    this.#last = answer.catch(() => null);
    return answer;
  }
}
