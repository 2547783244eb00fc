// Five hundred instruments at a glance, on a canvas: a tile each, as bright as its change is new.

import { useEffect, useRef } from 'react';
import { useText } from '../../../src/i18n';
import { colours, onColours } from '../../../src/lib/theme';
import type { Market } from './market';
import { priceTexts } from './text';

/** How long a change glows, in milliseconds. */
const GLOW_MS = 900;

/** Least width of a tile, and its height at most, in pixels. */
const TILE_MIN = 16;
const TILE_HIGH = 15;

/** Columns that fill every row. */
const COLUMNS = [25, 20];

/** Instruments, and so tiles. */
const TILES = 500;

/** A drawing loop that stops with its component; told how many frames it drew in each second. */
export function useFrames(draw: (now: number) => void, tell: (frames: number) => void): void {
  const latest = useRef({ draw, tell });
  latest.current = { draw, tell };
  useEffect(() => {
    let frames = 0;
    let since = performance.now();
    let frame = requestAnimationFrame(function step(now) {
      latest.current.draw(now);
      frames += 1;
      if (now - since >= 1_000) {
        latest.current.tell((frames * 1_000) / (now - since));
        frames = 0;
        since = now;
      }
      frame = requestAnimationFrame(step);
    });
    return () => cancelAnimationFrame(frame);
  }, []);
}

/** The tiles; `onFrames` hears how many pictures a second it draws. */
export function Grid(props: {
  market: Market;
  onFrames: (frames: number) => void;
  onPick: (symbol: string) => void;
}) {
  const say = useText(priceTexts);
  const canvas = useRef<HTMLCanvasElement>(null);
  const paint = useRef(colours('tide', 'cut', 'raised', 'faint', 'surface'));
  useEffect(
    () =>
      onColours(() => {
        paint.current = colours('tide', 'cut', 'raised', 'faint', 'surface');
      }),
    [],
  );
  const shape = useRef({ columns: 1, tile: 1, high: 1 });
  useFrames((now) => {
    const element = canvas.current;
    const pen = element?.getContext('2d');
    if (!element || !pen) return;
    const scale = devicePixelRatio || 1;
    const width = element.clientWidth;
    const columns = COLUMNS.find((count) => width / count >= TILE_MIN) ?? 10;
    const tile = width / columns;
    const high = Math.min(tile, TILE_HIGH);
    shape.current = { columns, tile, high };
    const height = Math.ceil(TILES / columns) * high;
    if (element.width !== Math.round(width * scale)) element.width = Math.round(width * scale);
    if (element.height !== Math.round(height * scale)) {
      element.height = Math.round(height * scale);
      element.style.height = `${height}px`;
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const { tide, cut, raised } = paint.current;
    let index = 0;
    for (const quote of props.market.quotes.values()) {
      const x = (index % columns) * tile;
      const y = Math.floor(index / columns) * high;
      const glow = Math.max(0, 1 - (now - quote.seen) / GLOW_MS);
      const moved = Math.min(1, Math.abs(quote.price / quote.open - 1) / 0.05);
      pen.globalAlpha = 1;
      pen.fillStyle = raised;
      pen.fillRect(x + 1, y + 1, tile - 2, high - 2);
      pen.globalAlpha = 0.12 + 0.4 * moved + 0.48 * glow;
      pen.fillStyle = quote.price >= quote.open ? tide : cut;
      pen.fillRect(x + 1, y + 1, tile - 2, high - 2);
      index += 1;
    }
    pen.globalAlpha = 0.5;
    pen.fillStyle = raised;
    for (; index < TILES; index += 1) {
      const x = (index % columns) * tile;
      pen.fillRect(x + 1, Math.floor(index / columns) * high + 1, tile - 2, high - 2);
    }
  }, props.onFrames);
  const pick = (event: React.MouseEvent) => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return;
    const { columns, tile, high } = shape.current;
    const column = Math.floor((event.clientX - box.left) / tile);
    const row = Math.floor((event.clientY - box.top) / high);
    const symbol = [...props.market.quotes.keys()][row * columns + column];
    if (symbol) props.onPick(symbol);
  };
  return (
    <canvas
      ref={canvas}
      role="img"
      aria-label={say.grid}
      onClick={pick}
      className="block w-full cursor-crosshair"
    />
  );
}
