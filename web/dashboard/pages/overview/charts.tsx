// The same figures over time. The pointer on one chart reads the same moment on all of them.

import { useMemo, useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { cx } from '../../../src/ui/cx';
import { Plot, type Line, type LineColour } from '../../../src/ui/plot';
import { Card } from '../../../src/ui/surface';
import type { Track } from '../../data/overview';
import type { Overview } from '../../data/types';
import { overviewTexts } from './text';

interface Series {
  label: string;
  colour: LineColour;
  fill?: boolean;
  of: (point: Overview) => number | null;
}

interface Chart {
  key: string;
  title: string;
  least: number;
  whole?: boolean;
  show: (value: number) => string;
  series: readonly Series[];
}

/** Shortest span that is shown, in seconds. */
const LEAST_S = 60;

/** The charts. */
export function Charts({ track, span }: { track: Track; span: number }) {
  const charts = useCharts();
  const say = useText(overviewTexts);
  return (
    <section aria-label={say.charts} className="mt-4 grid gap-4 md:grid-cols-2 2xl:grid-cols-3">
      {charts.map((chart) => (
        <ChartCard key={chart.key} chart={chart} track={track} span={span} />
      ))}
    </section>
  );
}

function useCharts(): readonly Chart[] {
  const say = useText(overviewTexts);
  const format = useFormat();
  return useMemo(
    () => [
      {
        key: 'connections',
        title: say.connections,
        least: 4,
        whole: true,
        show: format.short,
        series: [
          { label: say.sse, colour: 'tide', fill: true, of: (at) => at.connections.sse },
          { label: say.websocket, colour: 'replay', of: (at) => at.connections.websocket },
          { label: say.longPoll, colour: 'warn', of: (at) => at.connections.long_poll },
        ],
      },
      {
        key: 'events',
        title: say.events,
        least: 4,
        show: format.short,
        series: [
          { label: say.out, colour: 'tide', fill: true, of: (at) => at.events.out_s },
          { label: say.in, colour: 'replay', of: (at) => at.events.in_s },
        ],
      },
      {
        key: 'bytes',
        title: say.bytes,
        least: 1_000,
        show: format.bytes,
        series: [
          { label: say.out, colour: 'tide', fill: true, of: (at) => at.bytes.out_s },
          { label: say.in, colour: 'replay', of: (at) => at.bytes.in_s },
        ],
      },
      {
        key: 'delivery',
        title: say.delivery,
        least: 1,
        show: format.ms,
        series: [
          { label: 'p99', colour: 'tide', fill: true, of: (at) => at.delivery_ms?.p99 ?? null },
          { label: 'p50', colour: 'replay', of: (at) => at.delivery_ms?.p50 ?? null },
        ],
      },
      {
        key: 'interruptions',
        title: say.interruptions,
        least: 4,
        whole: true,
        show: format.short,
        series: [
          { label: say.resumes, colour: 'replay', fill: true, of: (at) => at.resumes.s },
          { label: say.gaps, colour: 'cut', of: (at) => at.gaps.s },
          { label: say.refused, colour: 'warn', of: (at) => at.refused.s },
        ],
      },
      {
        key: 'memory',
        title: say.memory,
        least: 16_000_000,
        show: format.bytes,
        series: [
          { label: say.residentName, colour: 'tide', fill: true, of: (at) => at.memory.resident },
        ],
      },
    ],
    [say, format],
  );
}

const dots: Record<LineColour, string> = {
  tide: 'bg-tide',
  replay: 'bg-replay',
  warn: 'bg-warn',
  cut: 'bg-cut',
  faint: 'bg-faint',
};

function ChartCard(props: { chart: Chart; track: Track; span: number }) {
  const { chart, track, span } = props;
  const format = useFormat();
  const [pointed, setPointed] = useState<number | null>(null);
  const lines: Line[] = useMemo(
    () =>
      chart.series.map(({ label, colour, fill, of }) => ({
        label,
        colour,
        ...(fill && { fill }),
        values: track.points.map((point) => point && of(point)),
      })),
    [chart, track],
  );
  const at = pointed !== null && pointed < track.times.length ? pointed : track.times.length - 1;
  const to = track.times.at(-1) ?? Date.now() / 1_000;
  // Of a history that has just begun, not more than a minute is empty.
  const shown = Math.min(span, Math.max(LEAST_S, to - (track.times[0] ?? to)));
  const time = pointed !== null ? track.times[at] : undefined;
  return (
    <Card label={chart.title} className="overflow-hidden pt-3 pb-1">
      <div className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-0.5 px-4">
        <h2 className="text-sm font-semibold">
          {chart.title}
          {time !== undefined && (
            <span className="nums ml-2 text-xs font-normal text-faint">
              {format.clock(time * 1_000)}
            </span>
          )}
        </h2>
        <ul className="flex flex-wrap gap-x-4 text-[0.8125rem]">
          {lines.map((line) => {
            const value = line.values[at];
            return (
              <li key={line.label} className="nums flex items-center gap-1.5 text-soft">
                <i aria-hidden className={cx('h-2 w-2 rounded-full', dots[line.colour])} />
                {line.label}
                <b className="font-semibold text-ink">{value == null ? '–' : chart.show(value)}</b>
              </li>
            );
          })}
        </ul>
      </div>
      <div className="mt-1.5 pr-2 pl-1">
        <Plot
          label={chart.title}
          times={track.times}
          lines={lines}
          from={to - shown}
          to={to}
          show={chart.show}
          least={chart.least}
          {...(chart.whole && { whole: true })}
          group="overview"
          onPoint={setPointed}
        />
      </div>
    </Card>
  );
}
