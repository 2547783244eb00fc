// Above a list: the words it is searched for, what else narrows it, and how much of it is shown.

import { useDeferredValue, useState, type ReactNode } from 'react';
import { TextField } from '../../src/ui/controls';

/** A search as it is typed, and as lists are searched for it. */
export interface Search {
  typed: string;
  type: (text: string) => void;
  /** In lower case, without white space around it; a moment behind while a long list is drawn. */
  wanted: string;
}

/** A search that begins empty. */
export function useSearch(): Search {
  const [typed, type] = useState('');
  return { typed, type, wanted: useDeferredValue(typed.trim().toLowerCase()) };
}

/** Whether any of these texts has what is wanted in it, in upper or lower case. */
export const matches = (wanted: string, texts: readonly string[]): boolean =>
  texts.some((text) => text.toLowerCase().includes(wanted));

/** The bar. */
export function Filters(props: {
  /** What is searched. */
  label: string;
  search: Search;
  children?: ReactNode;
  /** How much is shown, once it is known. */
  count: ReactNode;
}) {
  const { label, search } = props;
  return (
    <div className="flex flex-wrap items-center gap-3 border-b border-line px-4 py-3">
      <TextField
        type="search"
        label={label}
        placeholder={label}
        value={search.typed}
        onChange={(event) => search.type(event.target.value)}
        className="sm:max-w-80"
      />
      {props.children}
      <p role="status" className="nums ml-auto text-[0.8125rem] text-faint">
        {props.count}
      </p>
    </div>
  );
}
