// The frame of every scenario: what is claimed, three things to do that prove it, the stage, and
// what lies under it.

import { useConnectionState } from '@tidings/react';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { texts, useText } from '../../src/i18n';
import { conditionOf } from '../../src/lib/hub';
import { Icon } from '../../src/ui/icon';
import { Pill, type Condition } from '../../src/ui/pill';
import { Card } from '../../src/ui/surface';
import { Tabs } from '../../src/ui/tabs';
import { cx } from '../../src/ui/cx';
import { pageTexts } from '../routes';
import { Listing, type Listings } from './listing';
import type { Session } from './visit';
import { Wire } from './wire';

const words = texts(
  {
    steps: 'Try it',
    done: 'done',
    under: 'Under the hood',
    wire: 'On the wire',
    code: 'Show the code',
  },
  {
    steps: '試試看',
    done: '完成',
    under: '底層',
    wire: '線路上',
    code: '看程式碼',
  },
);

/** What a scenario says of itself. */
interface Claim {
  title: string;
  lead: string;
  /** What to do to see that it holds. */
  steps: readonly string[];
}

/** A scenario. */
export function Scenario(props: {
  session: Session<unknown>;
  claim: Claim;
  condition: Condition;
  code: Listings;
  children: ReactNode;
}) {
  const { session, claim } = props;
  const say = useText(words);
  const { name } = useText(pageTexts)[session.name];
  const [tab, setTab] = useState<'wire' | 'code'>('wire');
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${name} · Tidings`;
  }, [name]);
  return (
    <div className="mx-auto w-full max-w-[76rem] px-4 pt-5 pb-16 sm:px-8 sm:pt-9">
      <header className="mb-5 sm:mb-7">
        <div className="mb-2 flex items-center justify-between gap-3">
          <p className="eyebrow">{name}</p>
          <Pill condition={props.condition} until={session.state.until} />
        </div>
        <h1
          ref={heading}
          tabIndex={-1}
          className={cx(
            'max-w-[32ch] text-[1.5rem] leading-[1.18] font-bold outline-none sm:text-[2rem]',
          )}
        >
          {claim.title}
        </h1>
        <p className="mt-2.5 max-w-[62ch] text-soft sm:text-base">{claim.lead}</p>
        <Steps steps={claim.steps} done={session.done} />
      </header>
      {props.children}
      <Card className="mt-5 overflow-hidden" label={say.under}>
        <Tabs
          label={say.under}
          value={tab}
          onChange={setTab}
          tabs={[
            { value: 'wire', label: say.wire, icon: 'wire' },
            { value: 'code', label: say.code, icon: 'code' },
          ]}
        >
          {tab === 'wire' ? <Wire network={session.network} /> : <Listing code={props.code} />}
        </Tabs>
      </Card>
    </div>
  );
}

/** How the client of the hooks is, as a visitor calls it; known at once, blips and all. */
export function useCondition(session: Session<unknown>): Condition {
  const { state } = useConnectionState({ delay: 0 });
  return conditionOf(state, session.state.cut);
}

function Steps({ steps, done }: { steps: readonly string[]; done: ReadonlySet<number> }) {
  const say = useText(words);
  const next = steps.findIndex((_, index) => !done.has(index));
  return (
    <ol aria-label={say.steps} className="mt-4 flex flex-wrap gap-x-2 gap-y-2">
      {steps.map((text, index) => {
        const current = index === next;
        const isDone = done.has(index);
        return (
          <li
            key={text}
            data-done={isDone}
            aria-current={current ? 'step' : undefined}
            className={cx(
              'flex items-center gap-2 rounded-full border py-1 pr-3.5 pl-1.5 text-[0.8125rem]',
              'transition-colors duration-300',
              isDone && 'border-transparent bg-tide-wash text-ink',
              current && 'border-tide bg-surface font-medium text-ink',
              !isDone && !current && 'border-line text-faint',
            )}
          >
            <span
              className={cx(
                'nums grid size-5 shrink-0 place-items-center rounded-full text-xs font-semibold',
                isDone && 'bg-tide text-on-tide',
                current && 'bg-tide-wash text-tide',
                !isDone && !current && 'bg-raised text-faint',
              )}
            >
              {isDone ? <Icon name="check" size={12} /> : index + 1}
            </span>
            <span>
              {text}
              {isDone && <span className="sr-only"> ({say.done})</span>}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
