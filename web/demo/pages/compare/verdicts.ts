// What people say about the two, and what is so: by what this page measures at this moment, and by `tidings
// bench transport` on a whole machine, which a page is not.

import type { LaneView } from './lanes';
import file from './transport.json';

/** What came out. */
export type Verdict = 'confirmed' | 'refuted' | 'depends';

/** The claims, in their order. */
export const claims = [
  'handshake',
  'H1',
  'H2',
  'binary',
  'H3',
  'H4',
  'H5',
  'H6',
  'upstream',
  'H7',
  'H8',
  'H9',
  'H10',
  'H11',
  'H12',
] as const;

/** One of them. */
export type Claim = (typeof claims)[number];

/** What came out of a claim, and the figures in short. */
export interface Found {
  verdict: Verdict;
  sse: string;
  ws: string;
  /** A WebSocket without a protocol on top, and a long-poll, where they were measured. */
  bare?: string;
  poll?: string;
}

/** A row of the table: what the benchmark has found, and what this page finds. */
export interface Row {
  claim: Claim;
  bench: Found | undefined;
  here: Found | undefined;
}

/** Messages that a figure of this page needs at least. */
const ENOUGH = 20;

/** Differences below this share are none. */
const SAME = 0.15;

/** What the benchmark has found, when, and on what. */
export const measured = file as {
  /** RFC 3339. */
  made: string;
  machine: string;
  rows: Partial<Record<Claim, Found>>;
};

/** Claims in which a WebSocket, one without a protocol on top included, may come out better. */
const winnable = ['H2', 'upstream', 'binary', 'H11', 'H12'] as const;

/** Those in which it does, by what the benchmark has found. */
export const wins = winnable.filter((claim) => {
  const found = measured.rows[claim]?.verdict;
  return found === 'confirmed' || (found === 'depends' && claim !== 'upstream');
});

/** Whether the WebSocket's figure is smaller, as the claim has it. */
function judge(sse: number, ws: number): Verdict {
  const larger = Math.max(sse, ws);
  if (!larger || Math.abs(sse - ws) / larger < SAME) return 'depends';
  return ws < sse ? 'confirmed' : 'refuted';
}

/** The rows, with what is known by now. */
export function rowsOf(
  sse: LaneView,
  ws: LaneView,
  resume: boolean,
  number: (value: number, digits?: number) => string,
): Row[] {
  const enough = sse.messages >= ENOUGH && ws.messages >= ENOUGH;
  const over = (lane: LaneView) => (lane.down - lane.payload) / Math.max(1, lane.messages);
  const ms = (value: number) => `${number(value, value < 10 ? 2 : 0)} ms`;
  const live: Partial<Record<Claim, Found | false>> = {
    // Frames alone are smaller; what is needed to resume is not in them.
    H2: enough && {
      verdict: 'depends',
      sse: `${number(over(sse), 1)} B`,
      ws: `${number(ws.frames / ws.messages, 1)} B; ${number(over(ws), 1)} B`,
    },
    H4: enough && {
      verdict: judge(sse.latency[0], ws.latency[0]),
      sse: ms(sse.latency[0]),
      ws: ms(ws.latency[0]),
    },
    H6: enough && {
      verdict: judge(sse.roundTrip, ws.roundTrip),
      sse: ms(sse.roundTrip),
      ws: ms(ws.roundTrip),
    },
    H7: sse.live > 0 &&
      ws.live > 0 && {
        verdict: judge(ws.live, sse.live),
        sse: ms(sse.live),
        ws: ms(ws.live),
      },
    H8: (sse.live > 0 || ws.live > 0) && {
      // With the same protocol on top, both lose the same: nothing, or everything of the cut.
      verdict: sse.lost === ws.lost ? (resume ? 'refuted' : 'depends') : 'confirmed',
      sse: number(sse.lost),
      ws: number(ws.lost),
    },
    H10: enough && {
      verdict: judge(sse.work, ws.work),
      sse: ms(sse.work),
      ws: ms(ws.work),
    },
  };
  return claims.map((claim): Row => {
    return { claim, bench: measured.rows[claim], here: live[claim] || undefined };
  });
}
