import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { HOST } from './redis.js';

/** The reply of a server without modules, in both versions of the protocol. */
const NONE = /(?:\$11\r\n|=15\r\ntxt:)# Modules\r\n\r\n/;
const MODULES =
  '# Modules\r\nmodule:name=crdt,ver=1,api=1\r\nmodule:name=search,ver=1,api=1\r\n';

/**
 * Stands before a server, and tells clients that it is an Active-Active database.
 *
 * @returns its URL
 */
export async function startActiveActive(port: number): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, HOST);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) =>
      client.write(
        chunk
          .toString('latin1')
          .replace(NONE, () => `$${MODULES.length}\r\n${MODULES}\r\n`),
        'latin1',
      ),
    );
  });
  await once(server.listen(0, HOST), 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `redis://${HOST}:${(server.address() as AddressInfo).port}`;
}
