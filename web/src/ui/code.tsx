// Code to read and to take away.

import { useEffect, useState } from 'react';
import { texts, useText } from '../i18n';
import { copyText } from '../lib/copy';
import { Button } from './button';

const words = texts({ copy: 'Copy', copied: 'Copied' }, { copy: '複製', copied: '已複製' });

/** A listing with a button that copies it. */
export function Code({ text, label }: { text: string; label: string }) {
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
        className="overflow-x-auto p-4 pr-14 text-[0.8125rem] leading-relaxed text-soft"
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
