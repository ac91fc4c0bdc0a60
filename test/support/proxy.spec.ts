import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from './eventually.js';
import { startProxy, type Proxy } from './proxy.js';

/** One end of a link, and the data that arrived there. */
class End {
  heard = '';
  closed = false;

  constructor(readonly socket: Socket) {
    socket.on('data', (bytes) => (this.heard += String(bytes)));
    socket.on('close', () => (this.closed = true));
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  }
}

class Setup {
  readonly server = createServer((socket) =>
    this.accepted.push(new End(socket)),
  );
  readonly accepted: End[] = [];
  proxy!: Proxy;

  async open(): Promise<this> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void this.server.close());
    this.proxy = await startProxy((this.server.address() as AddressInfo).port);
    onTestFinished(() => this.proxy.close());
    return this;
  }

  /** Both ends of a new link without faults. */
  async link(): Promise<{ client: End; server: End }> {
    const client = new End(connect(this.proxy.port, '127.0.0.1'));
    const number = this.accepted.length;
    const server = await eventually(() => {
      const end = this.accepted.at(number);
      if (end === undefined) throw new Error('Not accepted yet.');
      return end;
    });
    client.socket.write('hi');
    server.socket.write('hello');
    await eventually(() => {
      if (server.heard !== 'hi' || client.heard !== 'hello') {
        throw new Error('Nothing came through yet.');
      }
    });
    return { client, server };
  }
}

describe('startProxy()', () => {
  it('forwards bytes and the end of either side', async () => {
    const setup = await new Setup().open();
    for (const by of ['client', 'server'] as const) {
      const link = await setup.link();
      link[by].socket.end('bye');
      await eventually(() => {
        const other = by === 'client' ? 'server' : 'client';
        expect(link[other].heard).toMatch(/bye$/);
        expect(link[other].closed).toBe(true);
        expect(setup.proxy.links).toBe(0);
      });
    }
  });

  it('swallows one direction silently, and works again afterwards', async () => {
    const setup = await new Setup().open();
    const { client, server } = await setup.link();

    setup.proxy.swallow('down');
    client.socket.write(' there');
    server.socket.write('lost');
    await eventually(() => {
      expect(server.heard).toBe('hi there');
      expect(setup.proxy.swallowed).toBe(1);
    });
    setup.proxy.pass();
    await setup.link();

    server.socket.end('lost too');
    client.socket.write('!');
    await eventually(() => {
      expect(server.heard).toBe('hi there!');
      expect(setup.proxy.swallowed).toBeGreaterThan(1);
    });
    expect(client.heard).toBe('hello');
    expect(client.closed).toBe(false);
  });

  it('swallows both directions, and the close of either end', async () => {
    const setup = await new Setup().open();
    const { client, server } = await setup.link();

    setup.proxy.swallow();
    client.socket.write(' there');
    await eventually(() => expect(setup.proxy.swallowed).toBe(1));
    setup.proxy.pass();
    client.socket.destroy();
    await eventually(() => expect(setup.proxy.swallowed).toBeGreaterThan(1));
    await setup.link();

    expect(server.heard).toBe('hi');
    expect(server.closed).toBe(false);
  });

  it('delays in order, and later bytes stay behind delayed ones', async () => {
    const setup = await new Setup().open();
    const { client, server } = await setup.link();
    for (const [text, ms] of [
      ['a', 100],
      ['b', 40],
      ['c', 0],
    ] as const) {
      setup.proxy.delay(ms);
      client.socket.write(text);
      // Separate turns, so that the proxy sees the chunks one by one.
      for (let turn = 0; turn < 5; turn++) await setImmediate();
    }
    expect(server.heard).toBe('hi');
    await eventually(() => expect(server.heard).toBe('hiabc'));
  });

  it('cuts all connections, and not new ones', async () => {
    const setup = await new Setup().open();
    const { client, server } = await setup.link();
    setup.proxy.cut();
    await eventually(() => {
      expect(client.closed).toBe(true);
      expect(server.closed).toBe(true);
    });
    await setup.link();
  });

  it('resets the client without a server', async () => {
    const setup = await new Setup().open();
    setup.server.close();
    const client = new End(connect(setup.proxy.port, '127.0.0.1'));
    await eventually(() => expect(client.closed).toBe(true));
  });
});
