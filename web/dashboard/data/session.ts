// Who is asking: every request of the dashboard goes through here. The operator's token is kept in
// this tab's storage and sent in a header; it is never part of an address. When the server refuses
// to be read, the page asks for a token instead of showing errors.

import { TidingsError, type Problem } from '@tidings/client';
import { createContext, useContext } from 'react';
import { Signal } from '../../src/lib/signal';

const STORED = 'tidings-operator';

/** What only the operator may read. A refusal of anything else is no reason to ask for a token. */
const OPERATORS = /^\/(connections|configuration|answers|traces|topics)?$|^\/topics\/(\$|%24)tidings\//;

/** What is read with a token of its own, whoever asks. */
const LINKED = /^\/(answers\/|topics\/(\$|%24)answers\/)/;

/** Why a token is asked for. */
export interface Locked {
  status: 401 | 403;
  /** What the server said. */
  detail: string;
}

/** What a request is made of. */
export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** From the root of the server, with its query. */
  path: string;
  /** Sent as JSON; a text as it is. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** One operator's visit. */
export class Session {
  /** Empty: none was given. */
  readonly token = new Signal(stored());
  readonly locked = new Signal<Locked | null>(null);

  /** As `fetch` does, with the token, and with an eye on refusals. */
  fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    const token = this.token.get();
    if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
    const response = await fetch(input, { ...init, headers });
    const { pathname } = new URL(input instanceof Request ? input.url : input, location.href);
    const { status } = response;
    const refused = status === 401 || (status === 403 && OPERATORS.test(pathname));
    if (refused && !LINKED.test(pathname) && token === this.token.get()) {
      const { detail } = await problemOf(response.clone());
      this.locked.set({ status: status === 401 ? 401 : 403, detail: detail ?? '' });
    }
    return response;
  };

  /** Makes a request and reads its answer; what is no success is thrown. */
  async call<T>(call: Call): Promise<T> {
    const text = typeof call.body === 'string' || call.body === undefined;
    const headers = { accept: 'application/json', ...call.headers };
    let response: Response;
    try {
      response = await this.fetch(call.path, {
        method: call.method ?? 'GET',
        headers: text ? headers : { 'content-type': 'application/json', ...headers },
        ...(call.body !== undefined && {
          body: text ? (call.body as string) : JSON.stringify(call.body),
        }),
        ...(call.signal && { signal: call.signal }),
      });
    } catch (error) {
      const code = call.signal?.aborted ? 'aborted' : 'network';
      throw new TidingsError(code, String(error), { retryable: true, cause: error });
    }
    if (!response.ok) {
      const problem = await problemOf(response);
      const message = problem.detail ?? problem.title ?? `status ${response.status}`;
      const { status } = response;
      const details = { status, problem, retryable: problem.retryable };
      throw new TidingsError(problem.code ?? 'http', message, details);
    }
    const body = await response.text();
    return (body ? JSON.parse(body) : undefined) as T;
  }

  /** Tries a token, and keeps it if it opens the dashboard. */
  async signIn(token: string): Promise<void> {
    const headers = { accept: 'application/json', authorization: `Bearer ${token}` };
    let response: Response;
    try {
      response = await fetch('/connections?limit=1', { headers });
    } catch (error) {
      throw new TidingsError('network', String(error), { retryable: true });
    }
    if (response.status === 401 || response.status === 403) {
      const problem = await problemOf(response);
      const { status } = response;
      throw new TidingsError('forbidden', problem.detail ?? '', { status, problem });
    }
    remember(token);
    this.token.set(token);
    this.locked.set(null);
  }

  /** Forgets the token. What may be read without one stays readable. */
  signOut(): void {
    remember('');
    this.token.set('');
    this.locked.set(null);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  return (await response.json().catch(() => ({}))) as Problem;
}

function stored(): string {
  try {
    return sessionStorage.getItem(STORED) ?? '';
  } catch {
    return '';
  }
}

function remember(token: string): void {
  try {
    if (token) sessionStorage.setItem(STORED, token);
    else sessionStorage.removeItem(STORED);
  } catch {
    // Kept until the page is left.
  }
}

/** The session of the page. */
export const SessionContext = createContext<Session>(new Session());

/** The session of the page. */
export const useSession = (): Session => useContext(SessionContext);
