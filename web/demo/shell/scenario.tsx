// The frame of every scenario: what is claimed, three things to do that prove it, the stage, and
// what lies under it.

import { useEffect, useRef, useState, type ReactNode } from 'react';
import { texts, useText } from '../../src/i18n';
import type { Network } from '../../src/lib/network';
import { Icon } from '../../src/ui/icon';
import { Card } from '../../src/ui/surface';
import { Tabs } from '../../src/ui/tabs';
import { cx } from '../../src/ui/cx';
import { Listing, type Listings } from './listing';
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

/** Something to do, and whether it was done. */
export interface Step {
  text: string;
  done: boolean;
}

/** A scenario. */
export function Scenario(props: {
  eyebrow: string;
  title: string;
  lead: string;
  steps: readonly Step[];
  pill: ReactNode;
  network: Network;
  code: Listings;
  children: ReactNode;
}) {
  const say = useText(words);
  const [tab, setTab] = useState<'wire' | 'code'>('wire');
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.eyebrow} · Tidings`;
  }, [props.eyebrow]);
  return (
    <div className="mx-auto w-full max-w-[76rem] px-4 pt-5 pb-16 sm:px-8 sm:pt-9">
      <header className="mb-5 sm:mb-7">
        <div className="mb-2 flex items-center justify-between gap-3">
          <p className="eyebrow">{props.eyebrow}</p>
          {props.pill}
        </div>
        <h1
          ref={heading}
          tabIndex={-1}
          className={cx(
            'max-w-[32ch] text-[1.5rem] leading-[1.18] font-bold outline-none sm:text-[2rem]',
          )}
        >
          {props.title}
        </h1>
        <p className="mt-2.5 max-w-[62ch] text-soft sm:text-base">{props.lead}</p>
        <Steps steps={props.steps} />
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
          {tab === 'wire' ? <Wire network={props.network} /> : <Listing code={props.code} />}
        </Tabs>
      </Card>
    </div>
  );
}

function Steps({ steps }: { steps: readonly Step[] }) {
  const say = useText(words);
  const next = steps.findIndex((step) => !step.done);
  return (
    <ol aria-label={say.steps} className="mt-4 flex flex-wrap gap-x-2 gap-y-2">
      {steps.map((step, index) => {
        const current = index === next;
        return (
          <li
            key={step.text}
            data-done={step.done}
            aria-current={current ? 'step' : undefined}
            className={cx(
              'flex items-center gap-2 rounded-full border py-1 pr-3.5 pl-1.5 text-[0.8125rem]',
              'transition-colors duration-300',
              step.done && 'border-transparent bg-tide-wash text-ink',
              current && 'border-tide bg-surface font-medium text-ink',
              !step.done && !current && 'border-line text-faint',
            )}
          >
            <span
              className={cx(
                'nums grid size-5 shrink-0 place-items-center rounded-full text-xs font-semibold',
                step.done && 'bg-tide text-on-tide',
                current && 'bg-tide-wash text-tide',
                !step.done && !current && 'bg-raised text-faint',
              )}
            >
              {step.done ? <Icon name="check" size={12} /> : index + 1}
            </span>
            <span>
              {step.text}
              {step.done && <span className="sr-only"> ({say.done})</span>}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
