// Code to read and to take away.

import { useEffect, useState } from 'react';
import { texts, useText } from '../i18n';
import { copyText } from '../lib/copy';
import { Button } from './button';
import { cx } from './cx';

const words = texts({ copy: 'Copy', copied: 'Copied' }, { copy: '複製', copied: '已複製' });

/** A listing with a button that copies it. */
export function Code(props: { text: string; label: string; wrap?: boolean }) {
  const { text, label, wrap } = props;
  const say = useText(words);
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1600);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    void copyText(text).then(setCopied);
  };
  return (
    <div className="relative">
      <pre
        tabIndex={0}
        role="region"
        aria-label={label}
        className={cx(
          'p-4 pr-14 text-[0.8125rem] leading-relaxed text-soft',
          wrap ? 'break-all whitespace-pre-wrap' : 'overflow-x-auto',
        )}
      >
        <code className="text-[1em]">{text}</code>
      </pre>
      <div className="absolute top-2.5 right-3">
        <Button
          small
          icon={copied ? 'check' : 'copy'}
          onClick={copy}
          aria-label={copied ? say.copied : say.copy}
          title={copied ? say.copied : say.copy}
        />
      </div>
    </div>
  );
}
