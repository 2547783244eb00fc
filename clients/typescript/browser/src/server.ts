// The real server, open to everybody on a fixed loopback port with a folder of its own, which a
// test can end as a crash would and start again.
//
// Promises: `start` resolves once the server takes requests; only the process that was started here
// is ever ended, by its number.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../core/test/program.ts';
import { until } from './wait.ts';

/** A port of loopback that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  await new Promise((done) => server.close(done));
  return address.port;
}

/** One row of `GET /connections`, as far as the tests look at it. */
export interface Row {
  id: string;
  state: string;
  topics: string[];
  patterns: string[];
  after: string;
  events: number;
}

/** A server that can be killed and started again on the same port and the same folder. */
export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-browser-'));
  readonly #options: readonly string[];
  #child: ChildProcess | undefined;
  readonly port: number;

  private constructor(port: number, options: readonly string[]) {
    this.port = port;
    this.#options = options;
  }

  /** Starts a server; `options` are further flags of `tidings serve`, or `dev` and flags of it. */
  static async begin(...options: string[]): Promise<Server> {
    const server = new Server(await freePort(), options);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const binary = findProgram();
    if (binary === undefined) throw new Error('no program: cargo build, or set TIDINGS_BIN');
    const listen = ['--listen', `127.0.0.1:${this.port}`, '--data-dir', this.#folder];
    const open = ['--anonymous', 'subscribe,publish,admin', '--cors-origins', '*'];
    const command = this.#options[0] === 'dev' ? [] : ['serve', ...open];
    const options = [...command, ...this.#options, ...listen];
    // What begins with TIDINGS_ would be taken for configuration.
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_'));
    const env = Object.fromEntries(kept);
    const child = spawn(binary, options, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-2_000)));
    this.#child = child;
    await until('the server is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the server ended: ${said}`);
      return await fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
    });
  }

  /** Ends the server as a crash does, without a last word. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The subscriptions that the server has at this moment. */
  async connections(): Promise<Row[]> {
    const answer = await fetch(`${this.url}/connections`);
    return ((await answer.json()) as { connections: Row[] }).connections;
  }
}
