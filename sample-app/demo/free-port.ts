import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { HOST } from '../shared/services.js';

/**
 * Finds ports that are free now, all different.
 *
 * @param preferred ports to use if they are free; 0 for any
 */
export async function freePorts(
  preferred: readonly number[],
): Promise<number[]> {
  const servers = await Promise.all(preferred.map(listen));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  // Closed last, so that no port is returned twice.
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

async function listen(port: number): ReturnType<typeof listenOn> {
  return listenOn(port).catch(() => listenOn(0));
}

async function listenOn(port: number) {
  const server = createServer().listen(port, HOST);
  await once(server, 'listening');
  return server;
}
