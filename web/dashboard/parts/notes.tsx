// What is said when there is nothing to show: why, and what to do about it.

import type { TidingsError } from '@tidings/client';
import type { ReactNode } from 'react';
import { texts, useText } from '../../src/i18n';
import { Button } from '../../src/ui/button';
import { Icon, type IconName } from '../../src/ui/icon';
import { Callout } from '../../src/ui/surface';

const words = texts(
  {
    again: 'Try again',
    loading: 'Loading',
    network: 'The server does not answer. It is asked again every few seconds; nothing to do here.',
    missing: 'This server does not have this yet. A newer one has.',
    draining: 'The server is stopping. It is asked again until it is back.',
    'log-failed': 'The log takes nothing until the server is started again. Look at its own log.',
    'disk-full': 'The disk is full. Make room, or let topics keep less.',
    forbidden: 'This needs the right admin: sign in with a token that has it.',
    'topic-closed': 'The topic has ended, and takes no more events.',
    'topic-not-found': 'There is no such topic (any more).',
    'connection-not-found': 'The connection is closed already.',
    said: (text: string) => `The server says: ${text}`,
  },
  {
    again: '再試一次',
    loading: '載入中',
    network: '伺服器沒有回應。每隔幾秒會自動再試，不需要做什麼。',
    missing: '這個伺服器還沒有這項功能，較新的版本才有。',
    draining: '伺服器正在停止。會一直重試到它回來。',
    'log-failed': '日誌在伺服器重新啟動前無法寫入。請查看伺服器自己的記錄。',
    'disk-full': '磁碟已滿。請騰出空間，或讓主題保留少一點。',
    forbidden: '這需要 admin 權限：請用營運者的權杖登入。',
    'topic-closed': '主題已結束，不再接受事件。',
    'topic-not-found': '沒有這個主題（或已不存在）。',
    'connection-not-found': '連線已經關閉。',
    said: (text: string) => `伺服器說：${text}`,
  },
);

/** Why something failed, and what to do. */
export function Failure(props: { error: TidingsError; onAgain?: (() => void) | undefined }) {
  const say = useText(words);
  const { code, status, message } = props.error;
  const away = code === 'network' || code === 'timeout' || (status ?? 0) >= 502;
  const key = away && code !== 'draining' && code !== 'log-failed' ? 'network' : code;
  const known = key in say && key !== 'said' ? say[key as 'network'] : undefined;
  const missing = status === 404 && code === 'not-found' ? say.missing : undefined;
  return (
    <div role="alert" data-failure={code}>
      <Callout tone={away ? 'warn' : 'cut'}>
        <span className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
          <span className="min-w-0">
            {missing ?? known ?? say.said(message)}
            {known && !away && message && (
              <span className="block text-[0.8125rem] text-soft">{say.said(message)}</span>
            )}
          </span>
          {props.onAgain && (
            <Button small icon="reload" onClick={props.onAgain}>
              {say.again}
            </Button>
          )}
        </span>
      </Callout>
    </div>
  );
}

/** The same above what a page shows, where there is a failure. */
export function PageFailure(props: {
  error: TidingsError | undefined;
  onAgain?: (() => void) | undefined;
}) {
  if (!props.error) return null;
  return (
    <div className="mb-4">
      <Failure error={props.error} onAgain={props.onAgain} />
    </div>
  );
}

/** Nothing is there yet: what would be, and how it gets there. */
export function Empty(props: {
  icon: IconName;
  title: string;
  line: string;
  children?: ReactNode;
}) {
  return (
    <div className="mx-auto grid max-w-xl justify-items-center gap-2 px-5 py-12 text-center">
      <span className="grid size-10 place-items-center rounded-full bg-raised text-faint">
        <Icon name={props.icon} size={18} />
      </span>
      <h2 className="mt-1 text-base font-semibold">{props.title}</h2>
      <p className="text-sm leading-relaxed text-soft">{props.line}</p>
      {props.children && <div className="mt-3 w-full min-w-0">{props.children}</div>}
    </div>
  );
}

/** It is on its way. */
export function Loading() {
  const say = useText(words);
  return <p className="animate-rise px-4 py-10 text-center text-sm text-faint">{say.loading}…</p>;
}
