// The shell of the dashboard: the pages, the connection that brings their figures, and who is
// signed in. Another token is another client, so that nothing of one operator is shown to the next.

import { TidingsProvider, useConnectionState, useTidings } from '@tidings/react';
import { createClient, type Client, type ConnectionState } from '@tidings/client';
import { Suspense, useEffect, useState, type AnchorHTMLAttributes } from 'react';
import { texts, useText } from '../src/i18n';
import { useSignal } from '../src/lib/signal';
import { Button } from '../src/ui/button';
import { Frame } from '../src/ui/frame';
import { Pill, type Condition } from '../src/ui/pill';
import { OverviewFeed, useNow } from './data/overview';
import { Session, SessionContext, useSession } from './data/session';
import { Loading } from './parts/notes';
import { hrefOf, loadAll, pageNames, pages, usePlace } from './places';
import { SignIn } from './sign-in';

const words = texts(
  {
    nav: 'Dashboard',
    about: 'This server',
    nothing: 'There is no such page.',
    back: 'To the overview',
    out: 'Sign out',
    version: (version: string) => `Tidings ${version}`,
    up: (host: string) => `on ${host}`,
  },
  {
    nav: '儀表板',
    about: '這個伺服器',
    nothing: '沒有這一頁。',
    back: '回到總覽',
    out: '登出',
    version: (version: string) => `Tidings ${version}`,
    up: (host: string) => `位於 ${host}`,
  },
);

/** How long the connection may be away before it is said, in milliseconds. */
const AWAY_MS = 600;

/** The dashboard. */
export function App() {
  const [session] = useState(() => new Session());
  const token = useSignal(session.token);
  return (
    <SessionContext value={session}>
      <Connected key={token} session={session} />
    </SessionContext>
  );
}

/** One client for as long as the token is the same. */
function Connected({ session }: { session: Session }) {
  const locked = useSignal(session.locked);
  const [client, setClient] = useState<Client | null>(null);
  useEffect(() => {
    if (locked) return;
    const made = createClient({
      url: location.origin,
      fetch: session.fetch,
      retry: { min: 300, max: 3_000 },
      // Browsers keep six connections to a server: a tab that nobody sees needs none.
      visibility: { pauseAfter: 60_000 },
    });
    setClient(made);
    return () => {
      setClient(null);
      made.close();
    };
  }, [session, locked]);
  if (locked) return <SignIn session={session} locked={locked} />;
  if (!client) return null;
  return (
    <TidingsProvider client={client}>
      <OverviewFeed>
        <Shell />
      </OverviewFeed>
    </TidingsProvider>
  );
}

const conditions: Partial<Record<ConnectionState, Condition>> = {
  open: 'live',
  waiting: 'waiting',
  stale: 'waiting',
  failed: 'failed',
};

function Status() {
  const client = useTidings();
  const { state } = useConnectionState({ delay: AWAY_MS });
  useEffect(() => {
    // Back from a machine that slept, or from another network: look at once.
    const check = () => client.check();
    addEventListener('online', check);
    return () => removeEventListener('online', check);
  }, [client]);
  return <Pill condition={conditions[state] ?? 'connecting'} />;
}

const Anchor = (props: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) => (
  <a {...props} />
);

function Shell() {
  const say = useText(words);
  const names = useText(pageNames);
  const session = useSession();
  const token = useSignal(session.token);
  const { page: wanted, rest } = usePlace();
  const page = pages.find(({ name }) => name === wanted);
  useEffect(loadAll, []);
  useEffect(() => {
    window.scrollTo(0, 0);
  }, [wanted, rest]);
  const entries = pages.map(({ name, icon }) => ({
    href: hrefOf(name),
    icon,
    label: names[name],
    chosen: name === wanted,
    aside: <Tally page={name} />,
  }));
  return (
    <Frame
      link={Anchor}
      home={hrefOf('overview')}
      nav={say.nav}
      place={`${wanted}/${rest}`}
      status={<Status />}
      groups={[{ heading: say.nav, entries }]}
      tools={
        token && (
          <Button small look="quiet" icon="leave" onClick={() => session.signOut()}>
            {say.out}
          </Button>
        )
      }
      foot={<Foot />}
    >
      <Suspense fallback={<Loading />}>
        {page ? (
          <page.view key={`${page.name}/${rest}`} rest={rest} />
        ) : (
          <div className="p-8">
            <p className="mb-4">{say.nothing}</p>
            <a href={hrefOf('overview')} className="text-tide underline underline-offset-4">
              {say.back}
            </a>
          </div>
        )}
      </Suspense>
    </Frame>
  );
}

/** How many there are, beside the name of the page. */
function Tally({ page }: { page: string }) {
  const now = useNow();
  if (!now) return null;
  // As the page lists them: a connection that waits for its next request follows nothing.
  const { sse, websocket, long_poll } = now.connections;
  const count = {
    topics: now.topics,
    connections: sse + websocket + long_poll,
    generations: now.answers.live,
  }[page];
  return count === undefined ? null : count.toLocaleString('en');
}

function Foot() {
  const say = useText(words);
  const now = useNow();
  return (
    <>
      {now && <span className="block">{say.version(now.version)}</span>}
      <span className="block [overflow-wrap:anywhere]">{say.up(location.host)}</span>
    </>
  );
}
