/** A network that breaks where the test wants it to: a TCP proxy that counts bytes and cuts. */

import { connect, createServer, type Socket } from 'node:net';

/** A running proxy. */
export interface Proxy {
  url: string;
  /** Bytes towards the client after which the n-th connection that asks (from 1) is cut. */
  plan: (connection: number) => number;
  /** Whether a cut is a reset, or an end that looks clean. */
  resets: boolean;
  /** Whether a connection is not cut but goes silent, as behind a network that is gone. */
  stalls: boolean;
  /** Whether new connections are refused. */
  isDown: boolean;
  /** Connections so far that asked for something, once for each time. */
  connections: number;
  /** Connections that were refused. */
  refused: number;
  /** Connections that were cut. */
  cuts: number;
  /** The first lines of the requests so far. */
  requests: string[];
  /** Cuts what is open. */
  cutNow(): void;
  close(): Promise<void>;
}

/** Starts one in front of a port of this machine. */
export async function startProxy(port: number): Promise<Proxy> {
  const open = new Set<Socket>();
  const cut = (socket: Socket): void => {
    if (proxy.resets) socket.resetAndDestroy();
    else socket.end();
  };
  const server = createServer((client) => {
    if (proxy.isDown) {
      proxy.refused += 1;
      client.resetAndDestroy();
      return;
    }
    open.add(client);
    const upstream = connect(port, '127.0.0.1');
    let left = Infinity;
    client.on('data', (bytes) => {
      const line = /^(?:GET|POST|DELETE) \S+/.exec(bytes.toString('latin1'))?.[0];
      if (line !== undefined) {
        proxy.requests.push(line);
        // Counted only now: one that was opened ahead or kept, perhaps by another test, follows the
        // plan of this one.
        left = proxy.plan((proxy.connections += 1));
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      client.write(bytes.subarray(0, Math.max(0, Math.min(bytes.length, left))));
      left -= bytes.length;
      if (left > 0 || client.destroyed || proxy.stalls) return;
      proxy.cuts += 1;
      upstream.destroy();
      cut(client);
    });
    // Who is silent does not say goodbye either.
    upstream.on('end', () => (proxy.stalls && left <= 0 ? undefined : client.end()));
    client.on('close', () => {
      open.delete(client);
      upstream.destroy();
    });
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy: Proxy = {
    url: `http://127.0.0.1:${address.port}`,
    plan: () => Infinity,
    resets: false,
    stalls: false,
    isDown: false,
    connections: 0,
    refused: 0,
    cuts: 0,
    requests: [],
    cutNow() {
      for (const client of open) {
        proxy.cuts += 1;
        cut(client);
      }
    },
    async close() {
      for (const client of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
