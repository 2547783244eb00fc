// The frame of a site: where one can go on the left, or behind a button on a phone, and the page.

import { useEffect, useRef, useState, type ComponentType, type ReactNode } from 'react';
import type { AnchorHTMLAttributes } from 'react';
import { texts, useText } from '../i18n';
import { Button } from './button';
import { cx } from './cx';
import { Icon, Mark, type IconName } from './icon';
import { Preferences } from './preferences';

const words = texts(
  { skip: 'Skip to the content', menu: 'Menu', close: 'Close the menu' },
  { skip: '跳到內容', menu: '選單', close: '關閉選單' },
);

/** What follows a link of this site. */
export type LinkComponent = ComponentType<
  AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }
>;

/** A place to go to. */
export interface NavEntry {
  href: string;
  icon: IconName;
  label: string;
  chosen: boolean;
  /** A number or a word at its end. */
  aside?: ReactNode;
}

/** Several of them, under a heading. */
export interface NavGroup {
  heading?: string;
  entries: readonly NavEntry[];
}

/** The frame; `place` changes when another page is shown. */
export function Frame(props: {
  link: LinkComponent;
  home: string;
  nav: string;
  groups: readonly NavGroup[];
  place: string;
  /** Under the brand on a desk, beside it on a phone. */
  status?: ReactNode;
  /** Above the preferences. */
  tools?: ReactNode;
  foot?: ReactNode;
  children: ReactNode;
}) {
  const say = useText(words);
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    // A page that was not loaded but changed says so to those who cannot see it.
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [props.place]);
  useEffect(() => {
    if (!open) return;
    const escape = (event: KeyboardEvent) => {
      if (event.key === 'Escape') setOpen(false);
    };
    addEventListener('keydown', escape);
    return () => removeEventListener('keydown', escape);
  }, [open]);
  const brand = (
    <props.link href={props.home} className="flex items-center gap-2.5 rounded-control p-1">
      <Mark />
      <span className="text-lg font-bold tracking-tight">Tidings</span>
    </props.link>
  );
  const skip = () => main.current?.focus();
  return (
    <div className="lg:grid lg:grid-cols-[15.5rem_minmax(0,1fr)]">
      <button
        type="button"
        onClick={skip}
        className="fixed top-2 left-2 z-50 -translate-y-20 rounded-control bg-tide px-4 py-2 text-on-tide focus:translate-y-0"
      >
        {say.skip}
      </button>
      <header className="sticky top-0 z-30 flex items-center justify-between gap-2 border-b border-line bg-paper/90 px-3 py-2 backdrop-blur lg:hidden">
        {brand}
        <div className="flex min-w-0 items-center gap-1">
          {props.status ?? <Preferences />}
          <Button
            look="quiet"
            icon={open ? 'close' : 'menu'}
            aria-label={open ? say.close : say.menu}
            aria-expanded={open}
            onClick={() => setOpen(!open)}
          />
        </div>
      </header>
      <aside
        className={cx(
          'border-line bg-paper lg:sticky lg:top-0 lg:flex lg:h-dvh lg:flex-col lg:border-r',
          open ? 'fixed inset-x-0 top-14.5 bottom-0 z-20 flex flex-col overflow-y-auto' : 'hidden',
        )}
      >
        <div className="hidden px-5 pt-6 pb-5 lg:block">
          {brand}
          {props.status && <div className="mt-4 px-1">{props.status}</div>}
        </div>
        <nav aria-label={props.nav} className="flex-1 overflow-y-auto px-3 py-3 lg:py-1">
          {props.groups.map((group, index) => (
            <div key={group.heading ?? index}>
              {group.heading && <p className="eyebrow px-3 pt-5 pb-1.5">{group.heading}</p>}
              {group.entries.map((entry) => (
                <Item key={entry.href} link={props.link} entry={entry} />
              ))}
            </div>
          ))}
        </nav>
        {props.tools && <div className="px-3 py-2">{props.tools}</div>}
        <div
          className={cx('border-t border-line px-3 py-3 lg:block', props.status ? '' : 'hidden')}
        >
          <Preferences />
        </div>
        {props.foot && (
          <div className="px-6 pb-5 text-xs leading-relaxed text-faint">{props.foot}</div>
        )}
      </aside>
      <main id="main" ref={main} tabIndex={-1} className="min-w-0 outline-none">
        {props.children}
      </main>
    </div>
  );
}

function Item({ link: Link, entry }: { link: LinkComponent; entry: NavEntry }) {
  return (
    <Link
      href={entry.href}
      aria-current={entry.chosen ? 'page' : undefined}
      className={cx(
        'mb-0.5 flex min-h-10 items-center gap-3 rounded-control px-3 text-sm transition-colors',
        entry.chosen
          ? 'bg-raised font-semibold text-ink'
          : 'text-soft hover:bg-sunken hover:text-ink',
      )}
    >
      <span className={entry.chosen ? 'text-tide' : undefined}>
        <Icon name={entry.icon} />
      </span>
      {entry.label}
      {entry.aside !== undefined && (
        <span className="nums ml-auto text-xs font-normal text-faint">{entry.aside}</span>
      )}
    </Link>
  );
}
