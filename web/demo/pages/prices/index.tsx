// Live prices: a scenario.

import { useEffect, useState } from 'react';
import { useNumber, useText } from '../../../src/i18n';
import { Button } from '../../../src/ui/button';
import { Slider, Switch } from '../../../src/ui/controls';
import { cx } from '../../../src/ui/cx';
import { Card, Figure, Figures } from '../../../src/ui/surface';
import { Scenario, useCondition } from '../../shell/scenario';
import { TapeView } from '../../shell/tape';
import { CUT_MS, Visit, type Session } from '../../shell/visit';
import { Chart } from './chart';
import { priceCode } from './code';
import { Grid } from './grid';
import { Market, type Following, type Rates } from './market';
import { priceTexts } from './text';

const RATES = [10, 50, 200, 500, 1_000, 2_000, 3_500, 5_000] as const;
const LIMITS = [20, 50, 100, 250, 500, 1_000, Infinity] as const;

/** Lines of the chart. */
const CHARTED = 4;

const first: Following = { conflate: true, limit: Infinity, rate: 500 };

export default function Prices() {
  return (
    <Visit
      name="prices"
      make={(network, tape) => new Market(network, tape, first)}
      view={Loaded}
    />
  );
}

function Loaded({ session }: { session: Session<Market> }) {
  const { network, tape, state, add, own: market } = session;
  const say = useText(priceTexts);
  const number = useNumber();
  const [following, setFollowing] = useState(first);
  const [frames, setFrames] = useState(0);
  const condition = useCondition(session);
  const { rates, symbols, pick } = useMarket(market);
  const change = (part: Partial<Following>, step: number) => {
    const next = { ...following, ...part };
    setFollowing(next);
    market.set(next);
    add(step);
  };
  return (
    <Scenario session={session} claim={say} condition={condition} code={priceCode}>
      <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_19rem]">
        <Card label={say.stage} className="overflow-hidden">
          <Legend market={market} symbols={symbols} />
          <div className="px-2">
            <Chart market={market} symbols={symbols} label={say.chart} />
          </div>
          <div className="border-t border-line p-3">
            <Grid market={market} onFrames={setFrames} onPick={pick} />
          </div>
          <TapeView tape={tape} />
        </Card>
        <div className="contents content-start gap-5 lg:grid">
          <Card className="order-first grid gap-4 p-4 lg:order-none" label={say.source}>
            <Slider
              label={say.rate}
              steps={RATES}
              value={following.rate}
              show={(value) => say.perSecond(number(value))}
              onChange={(rate) => change({ rate }, 0)}
            />
            <Slider
              label={say.tab}
              steps={LIMITS}
              value={following.limit}
              show={(value) => (value === Infinity ? say.all : say.most(number(value)))}
              onChange={(limit) => change({ limit }, 1)}
            />
            <Switch
              label={say.conflate}
              hint={say.conflateHint}
              checked={following.conflate}
              onChange={(conflate) => change({ conflate }, 2)}
            />
            <Button look="cut" icon="cut" disabled={state.cut} onClick={() => network.cut(CUT_MS)}>
              {say.cut(String(CUT_MS / 1_000))}
            </Button>
          </Card>
          <Counts rates={rates} frames={frames} />
        </div>
      </div>
    </Scenario>
  );
}

/** What is shown of the market twice a second, and which instruments are charted. */
function useMarket(market: Market) {
  const [rates, setRates] = useState<Rates>(market.rates);
  const [symbols, setSymbols] = useState<readonly string[]>([]);
  useEffect(() => {
    const timer = setInterval(() => {
      setRates(market.rates);
      if (!market.charted.length && market.quotes.size >= CHARTED) {
        market.charted = [...market.quotes.keys()].slice(0, CHARTED);
        setSymbols(market.charted);
      }
    }, 500);
    return () => clearInterval(timer);
  }, [market]);
  const pick = (symbol: string) => {
    if (market.charted.includes(symbol)) return;
    market.charted = [...market.charted.slice(1), symbol];
    setSymbols(market.charted);
  };
  return { rates, symbols, pick };
}

const dots = ['bg-tide', 'bg-replay', 'bg-warn', 'bg-cut'];

function Legend({ market, symbols }: { market: Market; symbols: readonly string[] }) {
  const say = useText(priceTexts);
  const number = useNumber();
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => redraw((count) => count + 1), 250);
    return () => clearInterval(timer);
  }, []);
  return (
    <ul
      aria-label={say.pick}
      className="grid min-h-17 grid-cols-2 gap-x-4 gap-y-2 border-b border-line px-4 py-3 sm:grid-cols-4"
    >
      {symbols.length === 0 && <li className="col-span-full text-faint">{say.waiting}…</li>}
      {symbols.map((symbol, index) => {
        const quote = market.quotes.get(symbol);
        const change = quote ? (quote.price / quote.open - 1) * 100 : 0;
        return (
          <li key={symbol} className="min-w-0">
            <span className="flex items-center gap-1.5 text-[0.8125rem] text-faint">
              <i className={cx('size-2 rounded-full', dots[index % dots.length])} />
              {symbol}
            </span>
            <span className="nums flex items-baseline gap-2">
              <b className="font-semibold">{number(quote?.price ?? 0, 2)}</b>
              <span className={cx('text-[0.8125rem]', change < 0 ? 'text-cut' : 'text-tide')}>
                {change < 0 ? '−' : '+'}
                {number(Math.abs(change), 2)} %
              </span>
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function Counts({ rates, frames }: { rates: Rates; frames: number }) {
  const say = useText(priceTexts);
  const number = useNumber();
  const age = (ms: number): [string, string] =>
    ms < 1_000 ? [number(ms), say.ms] : [number(ms / 1_000, 1), say.s];
  const [median, medianUnit] = age(rates.ageMedian);
  const [tail, tailUnit] = age(rates.ageTail);
  return (
    <Card className="p-4" label={say.read}>
      <Figures>
        <Figure id="source" label={say.arrives} value={number(rates.source)} unit="/s" />
        <Figure id="read" label={say.read} value={number(rates.read)} unit="/s" tone="tide" />
        <Figure id="spared" label={say.spared} value={number(rates.spared)} unit="/s" />
        <Figure id="frames" label={say.frames} value={number(frames)} />
        <Figure
          id="age"
          label={say.age}
          value={median}
          unit={medianUnit}
          tone={rates.ageMedian > 2_000 ? 'cut' : 'tide'}
        />
        <Figure
          id="tail"
          label={say.tail}
          value={tail}
          unit={tailUnit}
          tone={rates.ageTail > 2_000 ? 'cut' : 'tide'}
        />
      </Figures>
      <p className="mt-4 text-[0.8125rem] leading-relaxed text-faint">{say.note}</p>
    </Card>
  );
}
