// The switch "also when this tab is closed", and why it stays off.

import { useLanguage, useText } from '../../../src/i18n';
import { useSignal } from '../../../src/lib/signal';
import { Switch } from '../../../src/ui/controls';
import type { Closed } from './closed';
import { REMINDERS } from './desk';
import { documentTexts } from './text';

export function AlsoWhenClosed({ closed }: { closed: Closed }) {
  const say = useText(documentTexts);
  const { language } = useLanguage();
  const state = useSignal(closed.state);
  const hints = { asking: say.closedAsking, on: say.closedOn, off: say.closedHint };
  const hint = hints[state.is === 'refused' ? 'off' : state.is];
  return (
    <div className="mt-3 border-t border-line pt-3" data-closed={state.is}>
      <Switch
        label={say.closed}
        hint={hint}
        checked={state.is === 'on'}
        onChange={(on) => void closed.set(on, REMINDERS, language)}
      />
      {state.is === 'refused' && (
        <p
          role="status"
          data-why={state.why}
          className="mt-2 rounded-lg bg-raised px-3 py-2 text-[0.8125rem]"
        >
          {state.why === 'failed' ? say.closedFailed(state.detail) : say.closedWhy[state.why]}
        </p>
      )}
    </div>
  );
}
