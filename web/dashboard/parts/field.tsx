// A line of text in a form, with its name above and a hint below.

import { useId } from 'react';
import { TextField } from '../../src/ui/controls';

/** A field. */
export function Field(props: {
  label: string;
  hint?: string;
  value: string;
  onChange: (value: string) => void;
  disabled?: boolean;
  wrong?: boolean;
}) {
  const id = useId();
  return (
    <div className="min-w-0">
      <label htmlFor={id} className="flex items-baseline justify-between gap-3 text-sm font-medium">
        {props.label}
        {props.hint && (
          <span className="text-xs font-normal text-faint">{props.hint}</span>
        )}
      </label>
      <TextField
        id={id}
        label={props.label}
        value={props.value}
        disabled={props.disabled}
        aria-invalid={props.wrong || undefined}
        onChange={(event) => props.onChange(event.target.value)}
        className={`mt-1 text-sm disabled:opacity-60 ${props.wrong ? 'border-cut!' : ''}`}
      />
    </div>
  );
}
