// The first screen: what Tidings is, told by a log that really runs. Three readers follow it over
// three connections of their own; each can be cut off, and catches up.

import { useEffect, useState } from 'react';
import { texts, useText } from '../../src/i18n';
import { connect } from '../../src/lib/hub';
import { Network } from '../../src/lib/network';
import { Link } from '../../src/lib/router';
import { Signal, useSignal } from '../../src/lib/signal';
import { buttonClass } from '../../src/ui/button';
import { Code } from '../../src/ui/code';
import { cx } from '../../src/ui/cx';
import { Icon } from '../../src/ui/icon';
import { Card } from '../../src/ui/surface';
import { pageTexts, pages, pathOf } from '../routes';

const words = texts(
  {
    title: 'Live streams that remember where you were.',
    lead: 'Tidings sends events to any number of browsers over plain HTTP. Whoever was cut off, reloaded or merely slow comes back and misses nothing, even across a crash of the server. One program; no database, no broker.',
    start: 'Start with the AI chat',
    api: 'The API',
    how: 'A topic is a log. A reader is a position in it.',
    live: 'This one is real: the page publishes a word a second, and three connections follow.',
    readers: ['Phone', 'Laptop', 'Train'],
    cut: 'Cut off',
    mend: 'Connect',
    behind: (n: string) => `${n} behind`,
    upToDate: 'up to date',
    log: 'The log, newest on the right',
    publish: 'Publish from anything',
    follow: 'Follow from anything',
    see: 'Five stories to break',
    facts: [
      ['Durable, then visible', 'No reader sees what a crash could take back.'],
      [
        'Never a silent gap',
        'Everything after your id, once, in order; or it says what is missing.',
      ],
      ['A slow reader harms nobody', 'A reader is a position and a socket: 0.2 KiB, no queue.'],
    ],
  },
  {
    title: '即時串流，記得你讀到哪裡。',
    lead: 'Tidings 用一般的 HTTP 把事件送給任意多個瀏覽器。斷線、重新整理，或只是比較慢的人，回來時什麼都不會錯過，連伺服器當掉也一樣。一支程式；不需要資料庫，也不需要訊息佇列。',
    start: '從 AI 對話開始',
    api: 'API',
    how: '主題是一份日誌，讀者是其中的一個位置。',
    live: '這一份是真的：這一頁每秒發布一個字，由三條連線跟隨。',
    readers: ['手機', '筆電', '火車上'],
    cut: '切斷',
    mend: '接回',
    behind: (n: string) => `落後 ${n} 筆`,
    upToDate: '最新',
    log: '日誌，最新的在右邊',
    publish: '從任何程式發布',
    follow: '從任何程式跟隨',
    see: '五個讓你動手破壞的故事',
    facts: [
      ['先落地，再讓人看見', '當機會收回的東西，沒有讀者看得到。'],
      ['絕不默默遺漏', '你的編號之後的一切，一次，依序；不然就明說少了什麼。'],
      ['慢的讀者不拖累任何人', '讀者只是一個位置和一個連線：0.2 KiB，沒有佇列。'],
    ],
  },
);

/** Events that are drawn. */
const SHOWN = 14;

/** How often the page publishes, in milliseconds. */
const BEAT_MS = 900;

const sea = 'the tide comes in and nobody who reads it has to be there when it does '
  .trim()
  .split(' ');

interface Cell {
  id: string;
  word: string;
}

interface Reader {
  at: number;
  cut: boolean;
}

/** A log, and three readers of it. */
class Trio {
  readonly log = new Signal<readonly Cell[]>([]);
  readonly readers = [0, 1, 2].map(() => new Signal<Reader>({ at: 0, cut: false }));
  readonly #networks = [0, 1, 2].map(() => new Network());
  readonly #close: (() => void)[] = [];

  constructor() {
    const topic = `demo/hello/${crypto.randomUUID().slice(0, 8)}`;
    const publisher = connect(new Network());
    let count = 0;
    const publish = async () => {
      if (document.hidden) return;
      const word = sea[count++ % sea.length] ?? '';
      const { id } = await publisher.publish(topic, word, { ttl: '10m' });
      this.log.update((log) => [...log, { id, word }]);
    };
    const timer = setInterval(() => void publish().catch(() => undefined), BEAT_MS);
    this.#networks.forEach((network, index) => {
      const client = connect(network, 'pause');
      const reader = this.readers[index];
      client.subscribe(topic, { history: 'all' }).on('event', () => {
        reader?.update((now) => ({ ...now, at: now.at + 1 }));
      });
      this.#close.push(() => client.close());
    });
    this.#close.push(
      () => clearInterval(timer),
      () => publisher.close(),
    );
  }

  toggle(index: number): void {
    const [network, reader] = [this.#networks[index], this.readers[index]];
    if (!network || !reader) return;
    const cut = !reader.get().cut;
    if (cut) network.cut();
    else network.mend();
    reader.update((now) => ({ ...now, cut }));
  }

  close(): void {
    for (const close of this.#close) close();
    for (const network of this.#networks) network.close();
  }
}

/** The first screen. */
export function Landing() {
  const say = useText(words);
  const names = useText(pageTexts);
  useEffect(() => {
    document.title = 'Tidings';
  }, []);
  return (
    <div className="mx-auto w-full max-w-[76rem] px-4 pt-8 pb-16 sm:px-8 sm:pt-14">
      <div className="grid items-center gap-8 xl:grid-cols-[minmax(0,1fr)_27rem] xl:gap-12">
        <header>
          <h1 className="max-w-[18ch] text-[2.125rem] leading-[1.08] font-bold sm:text-[3rem]">
            {say.title}
          </h1>
          <p className="mt-4 max-w-[56ch] text-soft sm:text-[1.0625rem]">{say.lead}</p>
          <div className="mt-6 flex flex-wrap gap-2.5">
            <Link href={pathOf('chat')} className={buttonClass('solid')}>
              <Icon name="play" />
              {say.start}
            </Link>
            <a href="/openapi.json" className={buttonClass('outline')}>
              <Icon name="code" />
              {say.api}
            </a>
          </div>
        </header>
        <Picture />
      </div>
      <h2 className="mt-12 mb-3 text-base font-semibold">{say.see}</h2>
      <ul className="grid gap-3 sm:grid-cols-2 lg:grid-cols-6">
        {pages.map(({ name, icon }, index) => (
          <li key={name} className={index < 3 ? 'lg:col-span-2' : 'lg:col-span-3'}>
            <Link
              href={pathOf(name)}
              className="group flex h-full gap-3.5 rounded-card border border-line bg-surface p-4 shadow-card transition-colors hover:border-edge"
            >
              <span className="grid size-9 shrink-0 place-items-center rounded-control bg-tide-wash text-tide">
                <Icon name={icon} size={18} />
              </span>
              <span>
                <span className="block font-semibold">{names[name].name}</span>
                <span className="block text-sm leading-snug text-soft">{names[name].line}</span>
              </span>
            </Link>
          </li>
        ))}
      </ul>
      <div className="mt-8 grid gap-5 lg:grid-cols-2">
        <Sample
          title={say.publish}
          text={`curl ${location.origin}/topics/hello -d 'Hello, world'`}
        />
        <Sample title={say.follow} text={`curl -N ${location.origin}/topics/hello?last=1`} />
      </div>
      <dl className="mt-9 grid gap-x-8 gap-y-5 sm:grid-cols-3">
        {say.facts.map(([fact, line]) => (
          <div key={fact} className="border-t-2 border-tide pt-3">
            <dt className="font-semibold">{fact}</dt>
            <dd className="mt-0.5 text-sm text-soft">{line}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Sample({ title, text }: { title: string; text: string }) {
  return (
    <div className="min-w-0 overflow-hidden rounded-card border border-line bg-surface shadow-card">
      <h3 className="border-b border-line px-4 py-2 text-[0.8125rem] text-faint">{title}</h3>
      <Code text={text} label={title} wrap />
    </div>
  );
}

function Picture() {
  const say = useText(words);
  const [trio, setTrio] = useState<Trio | null>(null);
  useEffect(() => {
    const made = new Trio();
    setTrio(made);
    return () => made.close();
  }, []);
  return (
    <Card label={say.how} className="p-5">
      <h2 className="font-semibold">{say.how}</h2>
      <p className="mt-1 text-[0.8125rem] leading-relaxed text-faint">{say.live}</p>
      {trio && <Log trio={trio} />}
    </Card>
  );
}

function Log({ trio }: { trio: Trio }) {
  const say = useText(words);
  const log = useSignal(trio.log);
  const from = Math.max(0, log.length - SHOWN);
  return (
    <div className="mt-4">
      <ol aria-label={say.log} className="grid grid-cols-14 gap-1">
        {Array.from({ length: SHOWN }, (_, index) => {
          const cell = log[from + index];
          return (
            <li
              key={from + index}
              title={cell?.id}
              className={cx(
                'grid h-9 min-w-0 place-items-center rounded-[0.3125rem] text-[0.625rem]',
                cell ? 'animate-rise bg-tide text-on-tide' : 'bg-raised',
              )}
            >
              <span className="sr-only">{cell?.word}</span>
              <span aria-hidden className="nums opacity-90">
                {cell ? (from + index + 1) % 100 : ''}
              </span>
            </li>
          );
        })}
      </ol>
      <div className="mt-1.5 grid gap-1.5">
        {trio.readers.map((reader, index) => (
          <Row key={index} trio={trio} index={index} reader={reader} from={from} end={log.length} />
        ))}
      </div>
    </div>
  );
}

function Row(props: {
  trio: Trio;
  index: number;
  reader: Signal<Reader>;
  from: number;
  end: number;
}) {
  const say = useText(words);
  const { at, cut } = useSignal(props.reader);
  const behind = Math.max(0, props.end - at);
  const column = Math.max(0, Math.min(SHOWN - 1, at - 1 - props.from));
  const name = say.readers[props.index] ?? '';
  return (
    <div className="rounded-control bg-sunken px-3 pt-2.5 pb-2">
      <div aria-hidden className="relative -mx-3 h-2.5">
        <span className="absolute inset-x-0 top-1/2 h-px bg-line" />
        <span
          className={cx(
            'absolute size-2.5 -translate-x-1/2 rounded-full transition-[left] duration-300 ease-tide',
            cut ? 'bg-cut' : 'bg-tide',
          )}
          style={{ left: `${((column + 0.5) / SHOWN) * 100}%` }}
        />
      </div>
      <div className="mt-1.5 flex items-center justify-between gap-2">
        <span className="text-sm font-medium">{name}</span>
        <span className={cx('nums ml-auto text-[0.8125rem]', cut ? 'text-cut' : 'text-faint')}>
          {behind > 1 || cut ? say.behind(String(behind)) : say.upToDate}
        </span>
        <button
          type="button"
          aria-label={`${cut ? say.mend : say.cut}: ${name}`}
          onClick={() => props.trio.toggle(props.index)}
          className={buttonClass(cut ? 'solid' : 'outline', true)}
        >
          {cut ? say.mend : say.cut}
        </button>
      </div>
    </div>
  );
}
