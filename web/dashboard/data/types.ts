// What the server says of itself, as JSON.

import type { EndReason } from '@tidings/client';

/** One second of the server: the data of `$tidings/overview`. */
export interface Overview {
  /** RFC 3339. */
  at: string;
  version: string;
  uptime_s: number;
  connections: {
    total: number;
    sse: number;
    websocket: number;
    long_poll: number;
    http1: number;
    http2: number;
    tls: number;
  };
  topics: number;
  events: { in_s: number; out_s: number; in: number; out: number };
  bytes: { in_s: number; out_s: number };
  /** Milliseconds over the last ten seconds; null without deliveries. */
  delivery_ms: { p50: number | null; p99: number | null } | null;
  behind: number;
  resumes: Count;
  gaps: Count;
  refused: Count;
  /** Bytes. */
  memory: { resident: number; per_connection: number | null };
  log: { events: number; bytes: number; segments: number; healthy: boolean };
  answers: { live: number; finished: number; failed: number };
}

/** How often something happened: in the last second, and since the start. */
export interface Count {
  s: number;
  total: number;
}

/** A topic. */
export interface Topic {
  name: string;
  policy: Policy;
  own_policy: boolean;
  created: string;
  closed: EndReason | null;
  oldest?: string | null;
  newest?: string | null;
  events: number;
  bytes: number;
  forked_from?: { topic: string; through: string } | null;
}

/** How a topic is kept. */
export interface Policy {
  durability: 'memory' | 'written' | 'synced';
  retain: { count?: number | null; age_ms?: number | null; bytes?: number | null };
  conflate: boolean;
  ttl?: { ms: number; mode: 'fixed' | 'sliding' } | null;
  private: boolean;
  content_type?: string | null;
  end_by: 'publisher' | 'operator';
}

/** A subscription. */
export interface Connection {
  id: string;
  peer: string;
  since: string;
  topics: string[];
  patterns: string[];
  state: string;
  after: string;
  lag: number;
  events: number;
  transport?: string;
  protocol?: string;
  tls?: boolean;
  subject?: string | null;
  bytes?: number;
}

/** An answer of an LLM. */
export interface Answer {
  id: string;
  topic: string;
  route: string;
  state: 'streaming' | 'finished' | 'stopped' | 'failed';
  model: string | null;
  tokens: number;
  tokens_s: number;
  bytes: number;
  readers: number;
  started: string;
  ended: string | null;
}

/** One setting in force. */
export interface Setting {
  name: string;
  value: unknown;
  source: 'default' | 'file' | 'environment' | 'flag';
  where: string | null;
  secret: boolean;
  help: string;
}

/** A trace that was begun. */
export interface Trace {
  id: string;
  topic: string;
  until: string;
}

/** One record of a trace. */
export interface TraceRecord {
  at?: string;
  topic?: string;
  subject?: string;
  peer?: string;
  connection?: string;
  id?: string;
  type?: string;
  bytes?: number;
  status?: number;
  detail?: string;
  records?: number;
}
