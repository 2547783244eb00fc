// What one prefers: colours and language, remembered by the browser.

import { texts, useLanguage, useText } from '../i18n';
import { useSignal } from '../lib/signal';
import { chooseTheme, theme, type Theme } from '../lib/theme';
import { Button } from './button';
import type { IconName } from './icon';

const words = texts(
  {
    theme: { system: 'Colours: as the system', light: 'Colours: light', dark: 'Colours: dark' },
    language: '切換為中文',
    other: '中文',
  },
  {
    theme: { system: '配色：依系統', light: '配色：淺色', dark: '配色：深色' },
    language: 'Switch to English',
    other: 'EN',
  },
);

const nextTheme: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const themeIcons: Record<Theme, IconName> = { system: 'system', light: 'sun', dark: 'moon' };

/** Two buttons: the next colours, the other language. */
export function Preferences() {
  const say = useText(words);
  const { language, choose } = useLanguage();
  const chosen = useSignal(theme);
  return (
    <div className="flex items-center gap-1">
      <Button
        look="quiet"
        icon={themeIcons[chosen]}
        aria-label={say.theme[chosen]}
        title={say.theme[chosen]}
        onClick={() => chooseTheme(nextTheme[chosen])}
      />
      <Button
        look="quiet"
        icon="language"
        lang={language === 'zh' ? 'en' : 'zh-Hant'}
        title={say.language}
        onClick={() => choose(language === 'zh' ? 'en' : 'zh')}
      >
        {say.other}
      </Button>
    </div>
  );
}
