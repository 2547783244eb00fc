/** A server on a real socket that does what a case of `conformance/client` says. */

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Script {
  status: number;
  headers?: Record<string, string>;
  raw?: boolean;
  body: string[];
  then: 'close' | 'hold';
}

export interface Seen {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Answers one request after the other; those beyond the script are seen, and not answered. */
export class ScriptedServer {
  readonly seen: Seen[] = [];
  #server: Server;
  #sockets = new Set<Socket>();

  private constructor(script: Script[]) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers, socket } = request;
        this.seen.push({ method, path: url, headers, body: Buffer.concat(chunks).toString() });
        response.detachSocket(socket);
        const answer = script[this.seen.length - 1];
        if (!answer) return socket.destroy();
        const { status, raw, body, then } = answer;
        const fields = answer.headers ?? { 'Content-Type': 'text/event-stream' };
        const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
        if (status) {
          socket.write(`HTTP/1.1 ${status} x\r\n${head.join('')}Connection: close\r\n\r\n`);
        }
        for (const part of body) socket.write(part);
        if (then === 'close') socket.end();
        void raw;
        return undefined;
      });
    });
    this.#server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(script: Script[]): Promise<ScriptedServer> {
    const server = new ScriptedServer(script);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
