// Asks before something is done that cannot be taken back. The browser's own dialog: the focus
// stays in it, Escape leaves it, and it goes back to where it was.

import { useEffect, useRef, type ReactNode } from 'react';
import { texts, useText } from '../i18n';
import { Button } from './button';

const words = texts({ cancel: 'Cancel' }, { cancel: '取消' });

/** The question; it is asked as long as this is shown. */
export function Confirm(props: {
  title: string;
  children: ReactNode;
  /** What is done. */
  action: string;
  onConfirm: () => void;
  onCancel: () => void;
}) {
  const say = useText(words);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-label={props.title}
      onCancel={(event) => {
        event.preventDefault();
        props.onCancel();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) props.onCancel();
      }}
      className="m-auto w-[min(28rem,calc(100vw-2rem))] rounded-card border border-line bg-surface p-0 text-ink shadow-float backdrop:bg-[oklch(0.15_0.02_240/0.45)]"
    >
      <div className="p-5">
        <h2 className="text-lg font-semibold">{props.title}</h2>
        <div className="mt-2 text-sm leading-relaxed text-soft">{props.children}</div>
        <div className="mt-5 flex flex-wrap justify-end gap-2">
          <Button autoFocus onClick={props.onCancel}>
            {say.cancel}
          </Button>
          <Button look="cut" onClick={props.onConfirm}>
            {props.action}
          </Button>
        </div>
      </div>
    </dialog>
  );
}
