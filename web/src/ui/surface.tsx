// What things lie on: cards, figures, callouts.

import type { ReactNode } from 'react';
import { cx } from './cx';

/** A card. */
export function Card(props: { children: ReactNode; className?: string; label?: string }) {
  return (
    <section
      aria-label={props.label}
      className={cx(
        'min-w-0 rounded-card border border-line bg-surface shadow-card',
        props.className,
      )}
    >
      {props.children}
    </section>
  );
}

type Tone = 'plain' | 'tide' | 'cut' | 'replay' | 'warn';

const tones: Record<Tone, string> = {
  plain: 'text-ink',
  tide: 'text-tide',
  cut: 'text-cut',
  replay: 'text-replay',
  warn: 'text-warn',
};

/** A figure with its name. */
export function Figure(props: {
  label: string;
  value: ReactNode;
  unit?: string | undefined;
  tone?: Tone;
  id?: string;
}) {
  return (
    <div className="min-w-0">
      <dt className="text-[0.8125rem] leading-tight text-faint">{props.label}</dt>
      <dd className={cx('nums mt-0.5 text-xl font-semibold', tones[props.tone ?? 'plain'])}>
        <span data-figure={props.id}>{props.value}</span>
        {props.unit && <span className="ml-1 text-sm font-normal text-faint">{props.unit}</span>}
      </dd>
    </div>
  );
}

/** Several figures. */
export function Figures({ children, columns = 2 }: { children: ReactNode; columns?: 2 | 3 | 4 }) {
  const grid = { 2: 'grid-cols-2', 3: 'grid-cols-3', 4: 'grid-cols-2 sm:grid-cols-4' };
  return <dl className={cx('grid gap-x-4 gap-y-3.5', grid[columns])}>{children}</dl>;
}

const washes: Record<Tone, string> = {
  plain: 'bg-sunken text-soft',
  tide: 'bg-tide-wash text-ink',
  cut: 'bg-cut-wash text-ink',
  replay: 'bg-replay-wash text-ink',
  warn: 'bg-warn-wash text-ink',
};

/** Something that is worth a sentence. */
export function Callout({ tone = 'plain', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <div className={cx('rounded-control px-3.5 py-2.5 text-sm leading-relaxed', washes[tone])}>
      {children}
    </div>
  );
}

/** A word with a colour. */
export function Badge({ tone = 'plain', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span
      className={cx(
        'inline-flex items-center gap-1 rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap',
        tone === 'plain' ? 'bg-raised text-soft' : cx(washes[tone], tones[tone]),
      )}
    >
      {children}
    </span>
  );
}
