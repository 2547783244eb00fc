// What is set by hand: switches, sliders, choices of a few, text.

import { useId, type InputHTMLAttributes, type ReactNode } from 'react';
import { cx } from './cx';

/** On or off. */
export function Switch(props: {
  label: ReactNode;
  hint?: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  const id = useId();
  return (
    <div className="flex items-start justify-between gap-3">
      <label htmlFor={id} className="min-w-0 cursor-pointer">
        <span className="block text-sm font-medium">{props.label}</span>
        {props.hint && <span className="block text-[0.8125rem] text-faint">{props.hint}</span>}
      </label>
      <button
        id={id}
        type="button"
        role="switch"
        aria-checked={props.checked}
        onClick={() => props.onChange(!props.checked)}
        className={cx(
          'relative mt-0.5 h-6 w-10.5 shrink-0 rounded-full border transition-colors duration-150',
          props.checked ? 'border-tide bg-tide' : 'border-edge bg-raised',
        )}
      >
        <span
          className={cx(
            'absolute top-0.75 left-0.75 size-4 rounded-full transition-transform duration-150',
            props.checked ? 'translate-x-4.5 bg-on-tide' : 'bg-soft',
          )}
        />
      </button>
    </div>
  );
}

/** A number on a scale; `steps` are the values it can have. */
export function Slider(props: {
  label: string;
  steps: readonly number[];
  value: number;
  show: (value: number) => string;
  onChange: (value: number) => void;
}) {
  const id = useId();
  const index = Math.max(0, props.steps.indexOf(props.value));
  return (
    <div>
      <div className="flex items-baseline justify-between gap-3">
        <label htmlFor={id} className="text-sm font-medium">
          {props.label}
        </label>
        <output htmlFor={id} className="nums text-sm text-soft">
          {props.show(props.value)}
        </output>
      </div>
      <input
        id={id}
        type="range"
        min={0}
        max={props.steps.length - 1}
        value={index}
        aria-valuetext={props.show(props.value)}
        onChange={(event) => props.onChange(props.steps[Number(event.target.value)] ?? 0)}
        className="mt-1.5 block h-6 w-full cursor-pointer accent-tide"
      />
    </div>
  );
}

/** One of a few. */
export function Segments<T extends string>(props: {
  label: string;
  options: readonly { value: T; label: ReactNode }[];
  value: T;
  onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset className="min-w-0">
      <legend className="sr-only">{props.label}</legend>
      <div className="inline-flex max-w-full rounded-control bg-raised p-0.75">
        {props.options.map((option) => (
          <label
            key={option.value}
            className={cx(
              'cursor-pointer rounded-[0.4375rem] px-2.5 py-1 text-[0.8125rem] font-medium',
              'has-focus-visible:outline-2 has-focus-visible:outline-tide',
              option.value === props.value
                ? 'bg-surface text-ink shadow-card'
                : 'text-soft hover:text-ink',
            )}
          >
            <input
              type="radio"
              name={name}
              className="sr-only"
              checked={option.value === props.value}
              onChange={() => props.onChange(option.value)}
            />
            {option.label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** A line of text. */
export function TextField({
  label,
  className,
  ...rest
}: InputHTMLAttributes<HTMLInputElement> & { label: string }) {
  return (
    <input
      aria-label={label}
      className={cx(
        'min-h-10 w-full min-w-0 rounded-control border border-edge/70 bg-surface px-3 text-ink',
        'placeholder:text-faint hover:border-edge',
        className,
      )}
      {...rest}
    />
  );
}
