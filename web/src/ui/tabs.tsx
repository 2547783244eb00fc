// Tabs as the ARIA practices describe them: arrows move, one stop in the order of Tab.

import { useId, useRef, type KeyboardEvent, type ReactNode } from 'react';
import { cx } from './cx';
import { Icon, type IconName } from './icon';

/** One tab. */
export interface Tab<T extends string> {
  value: T;
  label: string;
  icon?: IconName;
}

/** A row of tabs above what the chosen one shows. */
export function Tabs<T extends string>(props: {
  label: string;
  tabs: readonly Tab<T>[];
  value: T;
  onChange: (value: T) => void;
  aside?: ReactNode;
  children: ReactNode;
}) {
  const id = useId();
  const row = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const at = props.tabs.findIndex((tab) => tab.value === props.value);
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const last = props.tabs.length - 1;
    const to = event.key === 'Home' ? 0 : event.key === 'End' ? last : by ? at + by : undefined;
    if (to === undefined) return;
    event.preventDefault();
    const next = props.tabs[(to + props.tabs.length) % props.tabs.length];
    if (!next) return;
    props.onChange(next.value);
    row.current?.querySelector<HTMLElement>(`[data-tab="${next.value}"]`)?.focus();
  };
  return (
    <div className="min-w-0">
      <div className="flex flex-wrap items-center justify-between gap-2 border-b border-line px-3">
        <div role="tablist" aria-label={props.label} ref={row} onKeyDown={move} className="flex overflow-x-auto">
          {props.tabs.map((tab) => {
            const chosen = tab.value === props.value;
            return (
              <button
                key={tab.value}
                type="button"
                role="tab"
                id={`${id}-${tab.value}`}
                data-tab={tab.value}
                aria-selected={chosen}
                aria-controls={`${id}-panel`}
                tabIndex={chosen ? 0 : -1}
                onClick={() => props.onChange(tab.value)}
                className={cx(
                  'flex min-h-11 items-center gap-2 border-b-2 px-3 text-sm font-medium whitespace-nowrap',
                  chosen ? 'border-tide text-ink' : 'border-transparent text-soft hover:text-ink',
                )}
              >
                {tab.icon && (
                  <span className="hidden sm:block">
                    <Icon name={tab.icon} size={15} />
                  </span>
                )}
                {tab.label}
              </button>
            );
          })}
        </div>
        {props.aside}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${props.value}`}>
        {props.children}
      </div>
    </div>
  );
}
