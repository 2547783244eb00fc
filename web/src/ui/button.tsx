// Buttons and links that look like them.

import type { ButtonHTMLAttributes, ReactNode } from 'react';
import { cx } from './cx';
import { Icon, type IconName } from './icon';

type Look = 'solid' | 'outline' | 'quiet' | 'cut';

const looks: Record<Look, string> = {
  solid: 'bg-tide text-on-tide hover:bg-tide-strong',
  outline: 'border border-line bg-surface text-ink hover:border-edge hover:bg-raised',
  quiet: 'text-soft hover:bg-raised hover:text-ink',
  cut: 'bg-cut text-on-cut hover:brightness-110',
};

/** The classes of a button, for links that look like one. */
export const buttonClass = (look: Look = 'outline', small = false): string =>
  cx(
    'inline-flex items-center justify-center gap-2 rounded-control font-medium whitespace-nowrap',
    'transition-[background,border-color,filter,transform] duration-150 active:translate-y-px',
    'disabled:pointer-events-none disabled:opacity-45',
    small ? 'min-h-8 px-2.5 text-[0.8125rem]' : 'min-h-10 px-3.5 text-sm',
    looks[look],
  );

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  small?: boolean;
  icon?: IconName;
  children?: ReactNode;
}

/** A button. With an icon alone it needs an `aria-label`. */
export function Button({ look = 'outline', small = false, icon, children, ...rest }: Props) {
  const { className, ...others } = rest;
  return (
    <button type="button" className={cx(buttonClass(look, small), className)} {...others}>
      {icon && <Icon name={icon} size={small ? 14 : 16} />}
      {children}
    </button>
  );
}
