// Asks for the operator's token. It stays in this tab: it is sent in a header, kept in the tab's
// own storage, and gone when the tab is closed or the operator signs out.

import { TidingsError } from '@tidings/client';
import { useEffect, useId, useRef, useState, type FormEvent } from 'react';
import { texts, useText } from '../src/i18n';
import { Button } from '../src/ui/button';
import { Mark } from '../src/ui/icon';
import { Preferences } from '../src/ui/preferences';
import { Callout, Card } from '../src/ui/surface';
import { asTidingsError } from './data/failure';
import type { Locked, Session } from './data/session';
import { CurlLine } from './parts/curl';

const words = texts(
  {
    title: 'Sign in as the operator',
    line: 'This dashboard shows and changes everything on the server, so it asks for a token with the grant admin.',
    token: 'Token',
    hint: 'Kept in this tab until it is closed. Sent in a header only, never in an address.',
    enter: 'Sign in',
    busy: 'Checking',
    empty: 'Paste the token first.',
    refused: 'The server does not accept this token. Is it whole, and not expired?',
    lacks: 'This token counts, but it is not an operator’s: it needs the grant admin for **, which is every topic.',
    network: 'The server does not answer. Is it running? Try again in a moment.',
    expired: 'The token that was used is not accepted any more. Give a newer one.',
    said: (text: string) => `The server says: ${text}`,
    check: 'The same question for a terminal:',
  },
  {
    title: '以營運者身分登入',
    line: '這個儀表板能看見並變更伺服器上的一切，因此需要帶有 admin 授權的權杖。',
    token: '營運者的權杖',
    hint: '只保存在這個分頁，關閉即消失。只放在標頭送出，不會出現在網址裡。',
    enter: '登入',
    busy: '檢查中',
    empty: '請先貼上權杖。',
    refused: '伺服器不接受這個權杖。它是否完整，而且尚未過期？',
    lacks: '這個權杖有效，但不是營運者的：它需要對 **（也就是所有主題）的 admin 授權。',
    network: '伺服器沒有回應。它在執行嗎？請稍後再試。',
    expired: '先前使用的權杖已不被接受，請提供新的。',
    said: (text: string) => `伺服器說：${text}`,
    check: '在終端機裡問同樣的問題：',
  },
);

/** Why it did not open. */
type Fault = 'empty' | 'refused' | 'lacks' | 'network';

/** The page. */
export function SignIn({ session, locked }: { session: Session; locked: Locked }) {
  const say = useText(words);
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const expired = session.token.get() !== '';
  useEffect(() => {
    document.title = `${say.title} · Tidings`;
    field.current?.focus();
  }, [say]);
  const enter = async (event: FormEvent) => {
    event.preventDefault();
    const given = token.trim();
    if (!given) {
      setFault('empty');
      field.current?.focus();
      return;
    }
    setBusy(true);
    setFault(null);
    try {
      await session.signIn(given);
    } catch (thrown) {
      const error: TidingsError = asTidingsError(thrown);
      const lacks = error.status === 403 ? 'lacks' : 'refused';
      setFault(error.code === 'network' ? 'network' : lacks);
      setBusy(false);
      field.current?.select();
    }
  };
  return (
    <main className="grid min-h-dvh content-between gap-8 px-4 py-6">
      <div className="flex items-center justify-between">
        <span className="flex items-center gap-2.5">
          <Mark />
          <span className="text-lg font-bold tracking-tight">Tidings</span>
        </span>
        <Preferences />
      </div>
      <Card className="mx-auto w-full max-w-md p-6 sm:p-7">
        <h1 className="text-[1.375rem] leading-tight font-bold">{say.title}</h1>
        <p className="mt-2 text-sm leading-relaxed text-soft">{say.line}</p>
        <form className="mt-5 grid gap-2" onSubmit={(event) => void enter(event)} noValidate>
          <label htmlFor={id} className="text-sm font-medium">
            {say.token}
          </label>
          <input
            ref={field}
            id={id}
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={token}
            aria-invalid={fault !== null}
            aria-describedby={`${id}-hint${fault ? ` ${id}-fault` : ''}`}
            onChange={(event) => setToken(event.target.value)}
            className="min-h-11 w-full min-w-0 rounded-control border border-edge/70 bg-surface px-3 font-mono text-ink hover:border-edge"
          />
          <p id={`${id}-hint`} className="text-[0.8125rem] text-faint">
            {say.hint}
          </p>
          {(fault || expired) && (
            <div id={`${id}-fault`} role="alert" data-fault={fault ?? 'expired'}>
              <Callout tone={fault === 'network' ? 'warn' : 'cut'}>
                {fault ? say[fault] : say.expired}
              </Callout>
            </div>
          )}
          <Button look="solid" icon="key" type="submit" disabled={busy} className="mt-2">
            {busy ? `${say.busy}…` : say.enter}
          </Button>
        </form>
        {locked.detail && (
          <p className="mt-4 border-t border-line pt-4 text-[0.8125rem] text-faint">
            {say.said(locked.detail)}
          </p>
        )}
      </Card>
      <div className="mx-auto w-full max-w-md text-[0.8125rem] text-faint">
        <p className="mb-2">{say.check}</p>
        <CurlLine withToken call={{ path: '/connections?limit=1' }} />
      </div>
    </main>
  );
}
