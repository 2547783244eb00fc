// What every page begins with: its name, one line about it, and what can be done with all of it.

import { useEffect, type ReactNode } from 'react';

/** The head of a page. */
export function PageHead(props: {
  title: string;
  line?: ReactNode;
  tools?: ReactNode;
  /** Above the title: where one comes from. */
  trail?: ReactNode;
  mono?: boolean;
}) {
  useEffect(() => {
    document.title = `${props.title} · Tidings`;
  }, [props.title]);
  return (
    <header className="mb-4 flex flex-wrap items-end justify-between gap-x-6 gap-y-3 sm:mb-5">
      <div className="min-w-0">
        {props.trail && <p className="mb-1 text-[0.8125rem] text-faint">{props.trail}</p>}
        <h1
          className={
            props.mono
              ? 'font-mono text-xl leading-snug font-semibold [overflow-wrap:anywhere]'
              : 'text-[1.625rem] leading-tight font-bold'
          }
        >
          {props.title}
        </h1>
        {props.line && <p className="mt-1 max-w-[70ch] text-sm text-soft">{props.line}</p>}
      </div>
      {props.tools && <div className="flex flex-wrap items-center gap-2">{props.tools}</div>}
    </header>
  );
}

/** The room of a page. */
export function PageBody({ children }: { children: ReactNode }) {
  return (
    <div className="mx-auto w-full max-w-[84rem] px-4 pt-5 pb-16 sm:px-8 sm:pt-8">{children}</div>
  );
}
