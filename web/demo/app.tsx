// The shell: where one is, where one can go, and what one prefers.

import { Suspense, useEffect, useRef, useState } from 'react';
import { texts, useLanguage, useText } from '../src/i18n';
import { Link, usePath } from '../src/lib/router';
import { useSignal } from '../src/lib/signal';
import { chooseTheme, theme, type Theme } from '../src/lib/theme';
import { Button } from '../src/ui/button';
import { cx } from '../src/ui/cx';
import { Icon, Mark, type IconName } from '../src/ui/icon';
import { Landing } from './pages/landing';
import { pageTexts, pages, pathOf } from './routes';

const words = texts(
  {
    skip: 'Skip to the content',
    home: 'What it is',
    nav: 'Scenarios',
    menu: 'Menu',
    close: 'Close the menu',
    theme: { system: 'Colours: as the system', light: 'Colours: light', dark: 'Colours: dark' },
    language: '切換為中文',
    other: '中文',
    nothing: 'There is no such page.',
    back: 'To the beginning',
    loading: 'Loading',
    foot: 'Runs on this machine. Nothing is fetched from anywhere else.',
  },
  {
    skip: '跳到內容',
    home: '這是什麼',
    nav: '情境',
    menu: '選單',
    close: '關閉選單',
    theme: { system: '配色：依系統', light: '配色：淺色', dark: '配色：深色' },
    language: 'Switch to English',
    other: 'EN',
    nothing: '沒有這一頁。',
    back: '回到開頭',
    loading: '載入中',
    foot: '在這台機器上執行，不從別處取得任何東西。',
  },
);

/** The demo. */
export function App() {
  const say = useText(words);
  const names = useText(pageTexts);
  const path = usePath();
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    // A page that was not loaded but changed says so to those who cannot see it.
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [path]);
  useEffect(() => {
    if (!open) return;
    const escape = (event: KeyboardEvent) => {
      if (event.key === 'Escape') setOpen(false);
    };
    addEventListener('keydown', escape);
    return () => removeEventListener('keydown', escape);
  }, [open]);
  const page = pages.find(({ name }) => path === pathOf(name));
  return (
    <div className="lg:grid lg:grid-cols-[15.5rem_minmax(0,1fr)]">
      <a
        href="#main"
        className="fixed top-2 left-2 z-50 -translate-y-20 rounded-control bg-tide px-4 py-2 text-on-tide focus:translate-y-0"
      >
        {say.skip}
      </a>
      <header className="sticky top-0 z-30 flex items-center justify-between border-b border-line bg-paper/90 px-3 py-2 backdrop-blur lg:hidden">
        <Brand />
        <div className="flex items-center gap-1">
          <Preferences />
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
          <Brand />
        </div>
        <nav aria-label={say.nav} className="flex-1 overflow-y-auto px-3 py-3 lg:py-1">
          <NavItem href="/" icon="home" label={say.home} chosen={path === '/'} />
          <p className="eyebrow px-3 pt-5 pb-1.5">{say.nav}</p>
          {pages.map(({ name, icon }) => (
            <NavItem
              key={name}
              href={pathOf(name)}
              icon={icon}
              label={names[name].name}
              chosen={page?.name === name}
            />
          ))}
        </nav>
        <div className="hidden border-t border-line px-3 py-3 lg:block">
          <Preferences />
        </div>
        <p className="px-6 pb-5 text-xs leading-relaxed text-faint">{say.foot}</p>
      </aside>
      <main id="main" ref={main} tabIndex={-1} className="min-w-0 outline-none">
        <Suspense fallback={<p className="p-8 text-faint">{say.loading}…</p>}>
          {page ? (
            <page.view key={page.name} />
          ) : path === '/' ? (
            <Landing />
          ) : (
            <div className="p-8">
              <p className="mb-4">{say.nothing}</p>
              <Link href="/" className="text-tide underline underline-offset-4">
                {say.back}
              </Link>
            </div>
          )}
        </Suspense>
      </main>
    </div>
  );
}

function Brand() {
  return (
    <Link href="/" className="flex items-center gap-2.5 rounded-control p-1">
      <Mark />
      <span className="text-lg font-bold tracking-tight">Tidings</span>
    </Link>
  );
}

function NavItem(props: { href: string; icon: IconName; label: string; chosen: boolean }) {
  return (
    <Link
      href={props.href}
      aria-current={props.chosen ? 'page' : undefined}
      className={cx(
        'mb-0.5 flex min-h-10 items-center gap-3 rounded-control px-3 text-sm transition-colors',
        props.chosen
          ? 'bg-raised font-semibold text-ink'
          : 'text-soft hover:bg-sunken hover:text-ink',
      )}
    >
      <span className={props.chosen ? 'text-tide' : undefined}>
        <Icon name={props.icon} />
      </span>
      {props.label}
    </Link>
  );
}

const nextTheme: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const themeIcons: Record<Theme, IconName> = { system: 'system', light: 'sun', dark: 'moon' };

function Preferences() {
  const say = useText(words);
  const { language, choose } = useLanguage();
  const chosen = useSignal(theme);
  return (
    <div className="flex items-center gap-1">
      <Button
        look="quiet"
        icon={themeIcons[chosen]}
        aria-label={say.theme[chosen]}
        title={say.theme[chosen]}
        onClick={() => chooseTheme(nextTheme[chosen])}
      />
      <Button
        look="quiet"
        icon="language"
        lang={language === 'zh' ? 'en' : 'zh-Hant'}
        title={say.language}
        onClick={() => choose(language === 'zh' ? 'en' : 'zh')}
      >
        {say.other}
      </Button>
    </div>
  );
}
