// What a topic keeps, in a few words.

import { useMemo } from 'react';
import { texts, useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import type { Policy } from '../../data/types';

const words = texts(
  {
    everything: 'everything',
    newest: 'newest per key',
    count: (n: string) => (n === '1' ? '1 event' : `${n} events`),
  },
  { everything: '全部', newest: '每鍵最新', count: (n: string) => `${n} 個事件` },
);

/** Says what a policy keeps. */
export function useRetention(): (policy: Policy) => string {
  const say = useText(words);
  const format = useFormat();
  return useMemo(
    () => (policy) => {
      const { count, age_ms, bytes } = policy.retain;
      const parts = [
        policy.conflate ? say.newest : '',
        count == null ? '' : say.count(format.short(count)),
        age_ms == null ? '' : format.span(age_ms),
        bytes == null ? '' : format.bytes(bytes),
      ].filter(Boolean);
      return parts.join(', ') || say.everything;
    },
    [say, format],
  );
}
