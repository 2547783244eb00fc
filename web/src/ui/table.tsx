// A table of any length: only the rows in sight are drawn. Columns are laid out by the grid of
// the page that uses it, so that a phone can have other ones than a desk.

import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, type ReactNode } from 'react';
import { cx } from './cx';

/** A column. */
export interface Column<T> {
  key: string;
  label: string;
  /** Whether its name is for those who cannot see it only. */
  quiet?: boolean;
  /** Figures end at the same place. */
  end?: boolean;
  /** Classes that hide it where there is no room: `hidden md:block`. */
  room?: string;
  /** Whether it can be sorted by. */
  sorts?: boolean;
  cell: (row: T) => ReactNode;
}

/** By which column, and which way. */
export interface Order {
  key: string;
  down: boolean;
}

/** The table. */
export function Table<T>(props: {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** Classes of the grid: `grid-cols-[…]`. */
  grid: string;
  order?: Order;
  onOrder?: (order: Order) => void;
  /** Height of a row in pixels, as a guess. */
  rowHeight?: number;
  /** Called when the last row is near. */
  onEnd?: () => void;
  /** Rows that stand out. */
  marked?: (row: T) => boolean;
}) {
  const { rows, columns, keyOf, onEnd } = props;
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => props.rowHeight ?? 44,
    getItemKey: (index) => {
      const row = rows[index];
      return row === undefined ? index : keyOf(row);
    },
    overscan: 8,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - 20) onEnd?.();
  }, [last, rows.length, onEnd]);
  const line = cx('grid items-center gap-x-4 px-4', props.grid);
  return (
    <div
      ref={box}
      role="table"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      tabIndex={0}
      className="max-h-[max(22rem,calc(100dvh-17rem))] overflow-y-auto"
    >
      <div role="rowgroup" className="sticky top-0 z-10 border-b border-line bg-surface">
        <div role="row" aria-rowindex={1} className={cx(line, 'min-h-9')}>
          {columns.map((column) => (
            <Heading
              key={column.key}
              column={column}
              order={props.order}
              onOrder={column.sorts ? props.onOrder : undefined}
            />
          ))}
        </div>
      </div>
      <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              role="row"
              aria-rowindex={item.index + 2}
              style={{ transform: `translateY(${item.start}px)` }}
              className={cx(
                line,
                'absolute inset-x-0 top-0 min-h-11 border-b border-line/70 py-1.5 text-sm',
                props.marked?.(row) ? 'bg-warn-wash' : 'hover:bg-sunken',
              )}
            >
              {columns.map((column) => (
                <div
                  key={column.key}
                  role="cell"
                  className={cx('min-w-0', column.end && 'nums text-right', column.room)}
                >
                  {column.cell(row)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Heading<T>(props: {
  column: Column<T>;
  order: Order | undefined;
  onOrder: ((order: Order) => void) | undefined;
}) {
  const { column, order, onOrder } = props;
  const chosen = order?.key === column.key;
  const sort = chosen ? (order.down ? 'descending' : 'ascending') : 'none';
  return (
    <div
      role="columnheader"
      aria-sort={onOrder ? sort : undefined}
      className={cx('min-w-0 text-xs font-medium text-faint', column.end && 'text-right', column.room)}
    >
      {onOrder ? (
        <button
          type="button"
          onClick={() => onOrder({ key: column.key, down: chosen ? !order.down : !!column.end })}
          className={cx(
            'inline-flex min-h-8 items-center gap-1 rounded-chip hover:text-ink',
            chosen && 'text-ink',
            column.end && 'flex-row-reverse',
          )}
        >
          {column.label}
          <span aria-hidden className={chosen ? 'text-tide' : 'opacity-0'}>
            {chosen && !order.down ? '↑' : '↓'}
          </span>
        </button>
      ) : (
        <span className={cx(column.quiet && 'sr-only')}>{column.label}</span>
      )}
    </div>
  );
}

/** Rows in the order of one of their values. */
export function ordered<T>(
  rows: readonly T[],
  order: Order,
  values: Record<string, (row: T) => string | number>,
): T[] {
  const value = values[order.key];
  if (!value) return [...rows];
  const way = order.down ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [value(a), value(b)];
    return (x < y ? -1 : x > y ? 1 : 0) * way;
  });
}
