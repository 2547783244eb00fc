// "Copy as curl": the request that the page makes, for a terminal.

import { useEffect, useState } from 'react';
import { texts, useText } from '../../src/i18n';
import { copyText } from '../../src/lib/copy';
import { useSignal } from '../../src/lib/signal';
import { Button } from '../../src/ui/button';
import { Code } from '../../src/ui/code';
import { curlOf } from '../data/curl';
import { useSession, type Call } from '../data/session';

const words = texts(
  {
    copy: 'Copy as curl',
    copied: 'Copied',
    failed: 'Copying failed',
    line: 'Command line',
  },
  { copy: '複製為 curl', copied: '已複製', failed: '無法複製', line: '命令列' },
);

/** How long it says so, in milliseconds. */
const SAID_MS = 1_600;

/** The line of a request, as this page would send it now. */
export function useCurl(call: Omit<Call, 'signal'>, withToken = false): string {
  const token = useSignal(useSession().token);
  return curlOf(call, { token: withToken || token !== '' });
}

/** A button that copies the request. */
export function CopyCurl(props: { call: Omit<Call, 'signal'>; brief?: boolean; about?: string }) {
  const say = useText(words);
  const line = useCurl(props.call);
  const [said, setSaid] = useState<'copied' | 'failed' | null>(null);
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(null), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const name = props.about ? `${say.copy}: ${props.about}` : say.copy;
  return (
    <Button
      small
      look={props.brief ? 'quiet' : 'outline'}
      icon={said === 'copied' ? 'check' : 'terminal'}
      title={line}
      data-curl
      aria-label={said ? say[said] : name}
      onClick={() => void copyText(line).then((done) => setSaid(done ? 'copied' : 'failed'))}
    >
      {props.brief ? null : said ? say[said] : say.copy}
    </Button>
  );
}

/** The line itself, to be read. */
export function CurlLine(props: { call: Omit<Call, 'signal'>; withToken?: boolean }) {
  const say = useText(words);
  return (
    <div className="overflow-hidden rounded-control border border-line bg-sunken text-left">
      <Code text={useCurl(props.call, props.withToken)} label={say.line} wrap />
    </div>
  );
}
