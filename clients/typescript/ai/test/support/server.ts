/** The real program, with its scripted model: `tidings dev` on a free port of this machine. */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needProgram } from '../../../core/test/program.js';

const program = needProgram();

/** Whether there is a program. Where it is required, a missing one is a failure and not a notice. */
export const hasProgram: boolean = program !== undefined;

/** A running server. */
export interface Server {
  url: string;
  port: number;
  /** What `GET /metrics` says of one metric, all its labels added. */
  metric(name: string): Promise<number>;
  /** Ends it, as `kill -9` does, or in order. Its events are removed. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** How long a server may take to be ready, in milliseconds. */
const READY_MS = 20_000;

/** Starts one. */
export async function startServer(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-ai-'));
  const args = ['dev', '--listen', '127.0.0.1:0', '--data-dir', folder, '--heartbeat', '1s'];
  // The program takes every TIDINGS_… for a setting of its own.
  const env = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_'));
  const child = spawn(program as string, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries(env),
  });
  const url = await ready(child);
  return {
    url,
    port: Number(new URL(url).port),
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.split(/[{ ]/)[0] === name);
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    async stop(signal = 'SIGKILL') {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill(signal);
        await gone;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function ready(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`not ready: ${said}`)), READY_MS);
    child.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    child.stdout?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
    child.once('exit', () => reject(new Error(`it ended: ${said}`)));
  });
}
