// The tape: half a minute of the connection as a picture. Live events rise, replayed ones have a
// colour of their own, and where there was no network it is hatched.

import { useEffect, useRef } from 'react';
import { texts, useText } from '../../src/i18n';
import { SLICES, type Tape } from '../../src/lib/tape';
import { colours, onColours } from '../../src/lib/theme';

const words = texts(
  {
    name: 'The last 30 seconds of the connection',
    live: 'live',
    replayed: 'replayed after a cut',
    cut: 'no network',
    now: 'now',
    ago: '30 s ago',
  },
  {
    name: '連線最近 30 秒',
    live: '即時',
    replayed: '斷線後補送',
    cut: '沒有網路',
    now: '現在',
    ago: '30 秒前',
  },
);

const HEIGHT = 44;

/** Draws the tape, ten times a second. */
export function TapeView({ tape }: { tape: Tape }) {
  const say = useText(words);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    let paint = colours('tide', 'replay', 'cut', 'line');
    const off = onColours(() => {
      paint = colours('tide', 'replay', 'cut', 'line');
    });
    const draw = () => {
      tape.advance();
      const scale = devicePixelRatio || 1;
      const width = element.clientWidth;
      if (element.width !== Math.round(width * scale)) element.width = Math.round(width * scale);
      if (element.height !== HEIGHT * scale) element.height = HEIGHT * scale;
      const pen = element.getContext('2d');
      if (pen) paintTape(pen, tape, width, scale, paint);
    };
    draw();
    const timer = setInterval(draw, 100);
    return () => {
      clearInterval(timer);
      off();
    };
  }, [tape]);
  return (
    <figure className="border-t border-line px-4 pt-2 pb-2.5">
      <canvas ref={canvas} role="img" aria-label={say.name} className="block h-11 w-full" />
      <figcaption className="mt-1.5 flex flex-wrap gap-x-4 gap-y-1 text-xs text-faint">
        <span className="inline-flex items-center gap-1.5">
          <i className="h-2.5 w-1 rounded-full bg-tide" /> {say.live}
        </span>
        <span className="inline-flex items-center gap-1.5">
          <i className="h-2.5 w-1 rounded-full bg-replay" /> {say.replayed}
        </span>
        <span className="inline-flex items-center gap-1.5">
          <i className="hatch h-2.5 w-3.5 rounded-xs" /> {say.cut}
        </span>
        <span className="ml-auto hidden sm:inline">
          {say.ago} → {say.now}
        </span>
      </figcaption>
    </figure>
  );
}

type Paint = Record<'tide' | 'replay' | 'cut' | 'line', string>;

function paintTape(
  pen: CanvasRenderingContext2D,
  tape: Tape,
  width: number,
  scale: number,
  paint: Paint,
): void {
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, HEIGHT);
  const step = width / SLICES;
  const peak = Math.max(4, ...tape.slices.map((slice) => slice.live + slice.replayed));
  // By its root, so that a single event is seen beside a burst.
  const tall = (count: number) => Math.max(3, Math.sqrt(count / peak) * (HEIGHT - 6));
  pen.fillStyle = paint.line;
  pen.fillRect(0, HEIGHT - 1, width, 1);
  let from = -1;
  tape.slices.forEach((slice, index) => {
    if (slice.cut && from < 0) from = index;
    if (from >= 0 && (!slice.cut || index === SLICES - 1)) {
      hatch(pen, from * step, (index - from) * step, paint.cut);
      from = -1;
    }
  });
  tape.slices.forEach((slice, index) => {
    const x = index * step;
    const bar = Math.max(1.5, step - 0.8);
    let bottom = HEIGHT - 1;
    for (const [count, colour] of [
      [slice.replayed, paint.replay],
      [slice.live, paint.tide],
    ] as const) {
      if (!count) continue;
      const height = Math.min(tall(count), bottom);
      pen.fillStyle = colour;
      pen.beginPath();
      pen.roundRect(x, bottom - height, bar, height, 1);
      pen.fill();
      bottom -= height;
    }
    if (slice.resumed) {
      pen.fillStyle = paint.replay;
      pen.beginPath();
      pen.moveTo(x - 3, 0);
      pen.lineTo(x + 4, 0);
      pen.lineTo(x + 0.5, 5);
      pen.fill();
    }
  });
}

function hatch(pen: CanvasRenderingContext2D, x: number, width: number, colour: string): void {
  pen.save();
  pen.beginPath();
  pen.rect(x, 0, width, HEIGHT - 1);
  pen.clip();
  pen.globalAlpha = 0.1;
  pen.fillStyle = colour;
  pen.fillRect(x, 0, width, HEIGHT);
  pen.globalAlpha = 0.45;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let at = Math.floor((x - HEIGHT) / 7) * 7; at < x + width; at += 7) {
    pen.moveTo(at, HEIGHT);
    pen.lineTo(at + HEIGHT, 0);
  }
  pen.stroke();
  pen.restore();
}
