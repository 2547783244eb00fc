// Lines over time with uPlot: made once, given its data when it changes, made anew with other
// colours. The pointer shows the values of a moment, on all plots of a group at once.

import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { colours, onColours } from '../lib/theme';

/** A colour of the design that lines have. */
export type LineColour = 'tide' | 'replay' | 'warn' | 'cut' | 'faint';

/** A line. */
export interface Line {
  label: string;
  colour: LineColour;
  values: readonly (number | null)[];
  /** Whether the area below it is filled. */
  fill?: boolean;
}

interface Props {
  /** What it shows, for those who cannot see it. */
  label: string;
  /** Seconds since 1970. */
  times: readonly number[];
  lines: readonly Line[];
  /** The span that is shown, in seconds since 1970. */
  from: number;
  to: number;
  /** In pixels. */
  height?: number;
  /** Writes a value of the axis. */
  show: (value: number) => string;
  /** Least top of the axis: a quiet line does not look like a storm. */
  least?: number;
  /** Whether there is nothing between whole numbers. */
  whole?: boolean;
  /** Plots with the same name share their pointer. */
  group: string;
  /** The index under the pointer, or null. */
  onPoint?: (index: number | null) => void;
}

/** A plot. */
export function Plot(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const { height = 132, times, lines, from, to } = props;
  const shape = lines.map((line) => `${line.label} ${line.colour} ${line.fill}`).join();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(element.clientWidth, height, latest),
        dataOf(latest.current),
        element,
      );
    };
    make();
    const off = onColours(make);
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height }),
    );
    observer.observe(element);
    return () => {
      off();
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, height]);
  useEffect(() => {
    plot.current?.setData(dataOf(latest.current));
  }, [times, lines, from, to]);
  return (
    <div
      ref={box}
      role="img"
      aria-label={props.label}
      style={{ height }}
      className="w-full overflow-hidden"
    />
  );
}

const dataOf = ({ times, lines }: Props): uPlot.AlignedData =>
  [times, ...lines.map((line) => line.values)] as unknown as uPlot.AlignedData;

function options(width: number, height: number, latest: { current: Props }): uPlot.Options {
  const paint = colours('faint', 'line', 'tide', 'replay', 'warn', 'cut', 'surface', 'edge');
  const wash = colours('tide-wash', 'replay-wash', 'warn-wash', 'cut-wash', 'raised');
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: paint.faint, font, ticks: { show: false } };
  const fills: Record<LineColour, string> = {
    tide: wash['tide-wash'],
    replay: wash['replay-wash'],
    warn: wash['warn-wash'],
    cut: wash['cut-wash'],
    faint: wash.raised,
  };
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 4, 0, 0],
    cursor: {
      sync: { key: latest.current.group },
      drag: { x: false, y: false },
      y: false,
      points: { size: 7, width: 1.5, stroke: () => paint.surface },
    },
    scales: {
      x: { time: true, range: () => [latest.current.from, latest.current.to] },
      y: { range: (_, __, max) => [0, roomy(Math.max(max ?? 0, latest.current.least ?? 1))] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 80,
        size: 24,
        gap: 4,
        values: (self, at) => at.map((time) => (isWhole(self, time) ? clock(time) : '')),
      },
      {
        ...axis,
        grid: { stroke: paint.line, width: 1 },
        ...(latest.current.whole && { incrs: WHOLE }),
        size: 50,
        space: 32,
        gap: 6,
        values: (_, at) => at.map((value) => brief(latest.current.show(value))),
      },
    ],
    series: [
      {},
      ...latest.current.lines.map((line) => ({
        label: line.label,
        stroke: paint[line.colour],
        width: 1.5,
        points: { show: false },
        ...(line.fill && { fill: fills[line.colour] }),
      })),
    ],
    hooks: {
      setCursor: [(self) => latest.current.onPoint?.(self.cursor.idx ?? null)],
    },
  };
}

/** Steps of an axis of whole numbers. */
const WHOLE = Array.from({ length: 8 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

/** Half of the width of a time below the axis, in pixels. */
const TIME_HALF = 26;

/** Whether the time below the axis is not cut off at its ends. */
function isWhole(self: uPlot, time: number): boolean {
  const at = self.valToPos(time, 'x');
  return at > TIME_HALF - 12 && at < self.width - 50 - TIME_HALF;
}

/** Without zeros that say nothing: `2.00 MB` is `2 MB`. */
const brief = (text: string) => text.replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');

/** A little above the highest value. */
const roomy = (max: number) => max * 1.12;

const clock = (seconds: number) => new Date(seconds * 1_000).toTimeString().slice(0, 8);
