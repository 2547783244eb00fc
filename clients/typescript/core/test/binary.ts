/** The server's own binary, for tests against the real thing. */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needProgram } from './program.js';

/** Longest wait for the server to come up, in milliseconds. */
const START_MAX = 30_000;

/** Where the binary is; none: tests that need it are skipped, unless they are required. */
export const binary: string | undefined = needProgram();

/** Our environment without what is the server's: it refuses settings that it does not know. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_')),
);

/** A server with a log of its own, which it keeps when it is started again. */
export class Tidings {
  url = '';
  #folder = mkdtempSync(join(tmpdir(), 'tidings-client-'));
  #port = 0;
  #child: ChildProcess | undefined;

  static async start(): Promise<Tidings> {
    const server = new Tidings();
    await server.start();
    return server;
  }

  /** Starts it, again on the same port. */
  async start(): Promise<void> {
    const child = spawn(
      binary as string,
      ['dev', '--listen', `127.0.0.1:${this.#port}`, '--data-dir', this.#folder,
        '--durability', 'written', '--heartbeat', '1s'],
      { stdio: ['ignore', 'pipe', 'pipe'], env },
    );
    this.#child = child;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not up in time: ${said}`)), START_MAX);
      const look = (chunk: Buffer) => {
        said += chunk.toString();
        const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(said);
        if (!found) return;
        clearTimeout(late);
        this.#port = Number(found[1]);
        resolve();
      };
      child.stdout?.on('data', look);
      child.stderr?.on('data', look);
      child.once('exit', () => {
        clearTimeout(late);
        reject(new Error(`it has ended: ${said}`));
      });
    });
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  /** Ends it without a word. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill('SIGKILL');
    });
  }

  /** How many streams follow a topic. */
  async connections(topic: string): Promise<number> {
    const response = await fetch(`${this.url}/connections`);
    const { connections } = (await response.json()) as { connections: { topics: string[] }[] };
    return connections.filter(({ topics }) => topics.includes(topic)).length;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
