// The shell: where one is, and where one can go.

import { Suspense } from 'react';
import { texts, useText } from '../src/i18n';
import { Link, usePath } from '../src/lib/router';
import { Frame } from '../src/ui/frame';
import { Landing } from './pages/landing';
import { pageTexts, pages, pathOf } from './routes';

const words = texts(
  {
    home: 'What it is',
    nav: 'Scenarios',
    behind: 'Behind it',
    dashboard: 'Dashboard',
    nothing: 'There is no such page.',
    back: 'To the beginning',
    loading: 'Loading',
    foot: 'Runs on this machine. Nothing is fetched from anywhere else.',
  },
  {
    home: '這是什麼',
    nav: '情境',
    behind: '幕後',
    dashboard: '儀表板',
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
  const page = pages.find(({ name }) => path === pathOf(name));
  const scenarios = pages.map(({ name, icon }) => ({
    href: pathOf(name),
    icon,
    label: names[name].name,
    chosen: page?.name === name,
  }));
  return (
    <Frame
      link={Link}
      home="/"
      nav={say.nav}
      place={path}
      groups={[
        { entries: [{ href: '/', icon: 'home', label: say.home, chosen: path === '/' }] },
        { heading: say.nav, entries: scenarios },
        {
          heading: say.behind,
          entries: [{ href: '/_/', icon: 'gauge', label: say.dashboard, chosen: false }],
        },
      ]}
      foot={say.foot}
    >
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
    </Frame>
  );
}
