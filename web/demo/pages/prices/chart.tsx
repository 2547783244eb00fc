// uPlot, in React: made once, given its data several times a second, made anew with other colours.

import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { colours, onColours } from '../../../src/lib/theme';
import type { Market } from './market';

/** How often the chart is drawn, in milliseconds. */
const DRAW_MS = 100;

const HEIGHT = 190;

const lines = ['tide', 'replay', 'warn', 'cut'] as const;

/** The charted instruments, in percent. */
export function Chart({
  market,
  symbols,
  label,
}: {
  market: Market;
  symbols: readonly string[];
  label: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const key = symbols.join();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const names = key ? key.split(',') : [];
    const data = (): uPlot.AlignedData => [
      market.times,
      ...names.map((name) => market.series.get(name) ?? market.times.map(() => null)),
    ];
    let plot: uPlot | undefined;
    const make = () => {
      plot?.destroy();
      plot = new uPlot(options(element.clientWidth, names), data(), element);
    };
    make();
    const off = onColours(make);
    const timer = setInterval(() => plot?.setData(data()), DRAW_MS);
    const observer = new ResizeObserver(() =>
      plot?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      off();
      clearInterval(timer);
      observer.disconnect();
      plot?.destroy();
    };
  }, [market, key]);
  return <div ref={box} role="img" aria-label={label} className="min-h-[190px] w-full" />;
}

function options(width: number, names: readonly string[]): uPlot.Options {
  const paint = colours('faint', 'line', ...lines);
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = {
    stroke: paint.faint,
    font,
    grid: { stroke: paint.line, width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [10, 8, 0, 0],
    scales: { x: { time: true } },
    axes: [
      { ...axis, space: 90, values: (_, at) => at.map((time) => clock(time)) },
      { ...axis, size: 52, values: (_, at) => at.map((value) => `${value.toFixed(1)} %`) },
    ],
    series: [
      {},
      ...names.map((label, index) => ({
        label,
        stroke: paint[lines[index % lines.length] ?? 'tide'],
        width: 1.75,
        points: { show: false },
      })),
    ],
  };
}

const clock = (seconds: number) => new Date(seconds * 1_000).toTimeString().slice(0, 8);
