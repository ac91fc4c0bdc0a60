import pg from 'pg';

/** Epoch of PostgreSQL's timestamps, in milliseconds. */
const EPOCH = Date.UTC(2000, 0, 1);
const NAME = 'late';

/** Settings of a server that waits for this standby at each commit. */
export const WAITS_FOR_LATE = {
  synchronous_standby_names: NAME,
  synchronous_commit: 'on',
};

/**
 * A synchronous standby that receives the log at once, and says so late: commits are
 * decoded that long before other sessions see them.
 */
export class LateStandby {
  #client;
  #delay;
  #connection;

  /** @param delay milliseconds */
  static async follow(address, delay) {
    const standby = new LateStandby(address, delay);
    await standby.#start();
    return standby;
  }

  constructor(address, delay) {
    this.#client = new pg.Client({
      ...address,
      replication: 'true',
      application_name: NAME,
    });
    this.#delay = delay;
  }

  close() {
    void this.#client.end().catch(() => {});
  }

  async #start() {
    const client = this.#client;
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query('IDENTIFY_SYSTEM');
    const [{ timeline, xlogpos }] = rows;
    await new Promise((resolve, reject) => {
      client.query({
        submit: (connection) => {
          this.#connection = connection;
          connection.once('replicationStart', resolve);
          connection.query(
            `START_REPLICATION PHYSICAL ${xlogpos} TIMELINE ${timeline}`,
          );
        },
        handleCopyData: ({ chunk }) => this.#received(chunk),
        handleError: reject,
        handleReadyForQuery() {},
        handleCommandComplete() {},
      });
    });
  }

  #received(chunk) {
    const kind = String.fromCharCode(chunk[0]);
    const start = chunk.readBigUInt64BE(1);
    // A keepalive has the end of the log, log data its beginning.
    const end = kind === 'w' ? start + BigInt(chunk.length - 25) : start;
    setTimeout(() => this.#confirm(end), this.#delay).unref();
  }

  #confirm(position) {
    const { stream } = this.#connection;
    if (!stream.writable) return;
    const status = Buffer.alloc(34);
    status.write('r', 0);
    for (const at of [1, 9, 17]) status.writeBigUInt64BE(position, at);
    status.writeBigInt64BE(BigInt(Date.now() - EPOCH) * 1_000n, 25);
    const head = Buffer.alloc(5);
    head.write('d', 0);
    head.writeInt32BE(status.length + 4, 1);
    stream.write(Buffer.concat([head, status]));
  }
}
