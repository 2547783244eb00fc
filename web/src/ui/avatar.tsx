// Somebody, as a coloured initial. The colour is his, its lightness is the theme's.

import type { CSSProperties } from 'react';
import { cx } from './cx';

/** An avatar. */
export function Avatar(props: { name: string; hue: number; size?: 'small' | 'large' }) {
  return (
    <span
      aria-hidden
      style={{ '--hue': props.hue } as CSSProperties}
      className={cx(
        'grid shrink-0 place-items-center rounded-full font-semibold select-none',
        'bg-[light-dark(oklch(0.9_0.06_var(--hue)),oklch(0.38_0.07_var(--hue)))]',
        'text-[light-dark(oklch(0.36_0.09_var(--hue)),oklch(0.92_0.05_var(--hue)))]',
        props.size === 'small' ? 'size-6 text-[0.6875rem]' : 'size-8 text-[0.8125rem]',
      )}
    >
      {[...props.name][0]}
    </span>
  );
}
