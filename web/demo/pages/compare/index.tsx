// SSE or WebSocket? A scenario.

import { useEffect, useState } from 'react';
import { useNumber, useText } from '../../../src/i18n';
import { useSignal } from '../../../src/lib/signal';
import { Button } from '../../../src/ui/button';
import { Slider, Switch } from '../../../src/ui/controls';
import { cx } from '../../../src/ui/cx';
import { Badge, Card } from '../../../src/ui/surface';
import { Scenario } from '../../shell/scenario';
import { TapeView } from '../../shell/tape';
import { CUT_MS, Visit, type Session } from '../../shell/visit';
import { compareCode } from './code';
import type { LaneView } from './lanes';
import { Race, type Throwing } from './race';
import { compareTexts } from './text';
import { measured, rowsOf, wins, type Found, type Row, type Verdict } from './verdicts';

const RATES = [2, 5, 10, 25, 50] as const;
const SIZES = [40, 100, 500, 2_000] as const;

/** Messages after which the first step is done. */
const A_MOMENT = 30;

const first: Throwing = { rate: 10, size: 100, resume: true };

export default function Compare() {
  return (
    <Visit
      name="compare"
      make={(network, tape) => new Race(network, tape, first)}
      view={Loaded}
    />
  );
}

function Loaded({ session }: { session: Session<Race> }) {
  const { network, tape, state, add, own: race } = session;
  const say = useText(compareTexts);
  const number = useNumber();
  const [throwing, setThrowing] = useState(first);
  const sse = useSignal(race.sse.view);
  const ws = useSignal(race.ws.view);
  const change = (part: Partial<Throwing>) => {
    const next = { ...throwing, ...part };
    setThrowing(next);
    race.set(next);
  };
  useEffect(() => {
    if (sse.messages >= A_MOMENT) add(0);
  }, [sse.messages, add]);
  const cut = () => {
    network.cut(CUT_MS);
    add(throwing.resume ? 1 : 2);
  };
  const both = sse.open && ws.open;
  return (
    <Scenario
      session={session}
      claim={say}
      condition={state.cut ? 'cut' : both ? 'live' : 'connecting'}
      code={compareCode}
    >
      <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_19rem]">
        <Card label={say.stage} className="overflow-hidden">
          <Lanes sse={sse} ws={ws} />
          <TapeView tape={tape} />
        </Card>
        <Card
          className="order-first grid content-start gap-4 p-4 lg:order-none"
          label={say.controls}
        >
          <Slider
            label={say.rate}
            steps={RATES}
            value={throwing.rate}
            show={(value) => say.perSecond(number(value))}
            onChange={(rate) => change({ rate })}
          />
          <Slider
            label={say.size}
            steps={SIZES}
            value={throwing.size}
            show={(value) => say.bytes(number(value))}
            onChange={(size) => change({ size })}
          />
          <Switch
            label={say.resume}
            hint={say.resumeHint}
            checked={throwing.resume}
            onChange={(resume) => change({ resume })}
          />
          <Button look="cut" icon="cut" disabled={state.cut} onClick={cut}>
            {say.cut(String(CUT_MS / 1_000))}
          </Button>
          <p className="text-[0.8125rem] leading-relaxed text-faint">{say.note}</p>
        </Card>
      </div>
      <Verdicts rows={rowsOf(sse, ws, throwing.resume, number)} />
    </Scenario>
  );
}

/** The two beside each other, a figure a line, the better one of each marked. */
function Lanes({ sse, ws }: { sse: LaneView; ws: LaneView }) {
  const say = useText(compareTexts);
  const number = useNumber();
  const bytes = (value: number) =>
    value < 10_000 ? `${number(value)} B` : `${number(value / 1_000, 1)} kB`;
  const ms = (value: number) => (value ? `${number(value, value < 10 ? 2 : 0)} ms` : '–');
  const over = (lane: LaneView) => (lane.down - lane.payload) / Math.max(1, lane.messages);
  const bare = (lane: LaneView) =>
    lane.frames ? lane.frames / Math.max(1, lane.messages) : over(lane);
  const rows: [id: string, name: string, value: (lane: LaneView) => string, of?: Measure][] = [
    ['messages', say.messages, (lane) => number(lane.messages)],
    ['down', say.down, (lane) => bytes(lane.down)],
    ['overhead', say.overhead, (lane) => `${number(over(lane), 1)} B`, over],
    ['frames', say.frames, (lane) => `${number(bare(lane), 1)} B`, bare],
    ['latency', `${say.latency} p50`, (lane) => ms(lane.latency[0]), (lane) => lane.latency[0]],
    ['p95', `${say.latency} p95`, (lane) => ms(lane.latency[1]), (lane) => lane.latency[1]],
    ['p99', `${say.latency} p99`, (lane) => ms(lane.latency[2]), (lane) => lane.latency[2]],
    ['trip', say.trip, (lane) => ms(lane.roundTrip), (lane) => lane.roundTrip],
    ['work', say.work, (lane) => ms(lane.work), (lane) => lane.work],
    ['live', say.live, (lane) => ms(lane.live), (lane) => lane.live],
    ['lost', say.lost, (lane) => number(lane.lost)],
    ['twice', say.twice, (lane) => number(lane.twice)],
  ];
  return (
    <div className="overflow-x-auto" tabIndex={0} role="group" aria-label={say.stage}>
      <table className="w-full table-fixed text-left">
        <thead className="align-top">
          <tr className="border-b border-line">
            <td className="w-[34%]" />
            {[
              [say.sse, say.sseLine, sse.open],
              [say.ws, say.wsLine, ws.open],
            ].map(([name, line, open]) => (
              <th key={String(name)} scope="col" className="px-2 py-3.5 sm:px-4">
                <span className="flex items-center gap-1.5 text-[0.8125rem] leading-snug font-semibold sm:gap-2 sm:text-sm">
                  <i className={cx('size-2 shrink-0 rounded-full', open ? 'bg-tide' : 'bg-cut')} />
                  {name}
                </span>
                <span className="mt-1 hidden text-[0.8125rem] leading-snug font-normal text-faint sm:block">
                  {line}
                </span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr className="border-b border-line/60 text-sm">
            <th scope="row" className="px-3 py-2 font-normal text-faint sm:px-4">
              {say.direction}
            </th>
            <td className="px-3 py-2 sm:px-4">{say.oneWay}</td>
            <td className="px-3 py-2 sm:px-4">{say.twoWay}</td>
          </tr>
          {rows.map(([id, name, value, of]) => (
            <tr key={id} className="border-b border-line/60 last:border-0">
              <th
                scope="row"
                className="px-3 py-1.5 text-[0.8125rem] font-normal text-faint sm:px-4 sm:text-sm"
              >
                {name}
              </th>
              {[sse, ws].map((lane, index) => {
                const other = index ? sse : ws;
                const better = of !== undefined && of(lane) > 0 && of(lane) < of(other) * 0.85;
                const bad = (id === 'lost' && lane.lost > 0) || (id === 'twice' && lane.twice > 0);
                return (
                  <td
                    key={index}
                    data-figure={`${index ? 'ws' : 'sse'}-${id}`}
                    className={cx(
                      'nums px-3 py-1.5 font-semibold sm:px-4',
                      better && 'text-tide',
                      bad && 'text-cut',
                    )}
                  >
                    {value(lane)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

type Measure = (lane: LaneView) => number;

const tones: Record<Verdict, 'tide' | 'cut' | 'warn'> = {
  confirmed: 'tide',
  refuted: 'cut',
  depends: 'warn',
};

function Verdicts({ rows }: { rows: readonly Row[] }) {
  const say = useText(compareTexts);
  const head = 'px-4 py-2 text-[0.8125rem] font-medium text-faint';
  return (
    <Card className="mt-5 overflow-hidden" label={say.table}>
      <h2 className="px-4 pt-4 pb-2 font-semibold">{say.table}</h2>
      <div className="overflow-x-auto" tabIndex={0} role="group" aria-label={say.table}>
        <table className="w-full min-w-[44rem] text-left text-sm">
          <thead>
            <tr className="border-b border-line">
              <th scope="col" className={head}>
                {say.claim}
              </th>
              <th scope="col" className={head}>
                {say.verdict}
              </th>
              <th scope="col" className={head}>
                SSE
              </th>
              <th scope="col" className={head}>
                WebSocket
              </th>
              <th scope="col" className={head}>
                {say.source}
              </th>
            </tr>
          </thead>
          {rows.map((row) => (
            <Judged key={row.claim} row={row} />
          ))}
        </table>
      </div>
      {wins.length > 0 && (
        <p className="px-4 pt-3 text-sm">
          {say.wins} {wins.map((claim) => say.won[claim]).join(say.and)}
        </p>
      )}
      <p className="px-4 py-3 text-[0.8125rem] leading-relaxed text-faint">
        {say.measured(measured.made.slice(0, 10))} {measured.machine}
      </p>
    </Card>
  );
}

/** A claim: what the benchmark has found, and below it what this page finds. */
function Judged({ row }: { row: Row }) {
  const say = useText(compareTexts);
  const found = (['bench', 'here'] as const).filter((from) => row[from]);
  return (
    <tbody data-claim={row.claim} className="border-b border-line/60 align-top">
      {(found.length ? found : [undefined]).map((from, index) => (
        <tr key={from ?? 'none'}>
          {index === 0 && (
            <th scope="row" rowSpan={Math.max(1, found.length)} className="px-4 py-2 font-normal">
              <span className="block min-w-44">
                {/^H/.test(row.claim) && (
                  <span className="mr-2 inline-block w-7 text-xs text-faint">{row.claim}</span>
                )}
                {say.claims[row.claim]}
                <span className="mt-0.5 block text-xs leading-snug text-faint">
                  {say.explained[row.claim]}
                </span>
              </span>
            </th>
          )}
          <Figures found={from && row[from]} source={say[from ?? 'none']} />
        </tr>
      ))}
    </tbody>
  );
}

function Figures({ found, source }: { found: Found | undefined; source: string }) {
  const say = useText(compareTexts);
  return (
    <>
      <td className="px-4 py-2">
        {found && <Badge tone={tones[found.verdict]}>{say.verdicts[found.verdict]}</Badge>}
      </td>
      <td className="nums px-4 py-2 whitespace-nowrap">{found ? found.sse : '–'}</td>
      <td className="px-4 py-2">{found ? <WebSocketCell found={found} /> : '–'}</td>
      <td className="px-4 py-2 text-[0.8125rem] whitespace-nowrap text-faint">{source}</td>
    </>
  );
}

function WebSocketCell({ found }: { found: Found }) {
  const say = useText(compareTexts);
  const more = [found.bare && say.bare(found.bare), found.poll && say.poll(found.poll)];
  return (
    <>
      <span className="nums whitespace-nowrap">{found.ws}</span>
      {more.map((text) => text && <span key={text} className="block text-xs text-faint">{text}</span>)}
    </>
  );
}
