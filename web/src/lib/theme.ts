// Light, dark, or as the system has it; and colours for canvases, which know no custom properties.

import { Signal } from './signal';

/** The choice. */
export type Theme = 'system' | 'light' | 'dark';

const stored = document.documentElement.dataset['theme'];

/** The theme of the moment. */
export const theme = new Signal<Theme>(stored === 'light' || stored === 'dark' ? stored : 'system');

/** Chooses a theme, and remembers it. */
export function chooseTheme(next: Theme): void {
  const root = document.documentElement;
  if (next === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = next;
  try {
    if (next === 'system') localStorage.removeItem('tidings-theme');
    else localStorage.setItem('tidings-theme', next);
  } catch {
    // Kept for this page only.
  }
  theme.set(next);
}

const dark = matchMedia('(prefers-color-scheme: dark)');

/** Calls back when colours change; returns how to stop that. */
export function onColours(changed: () => void): () => void {
  const off = theme.subscribe(changed);
  dark.addEventListener('change', changed);
  return () => {
    off();
    dark.removeEventListener('change', changed);
  };
}

/** Colours by name, as a canvas takes them. */
export function colours<K extends string>(...names: K[]): Record<K, string> {
  const probe = document.createElement('i');
  document.body.append(probe);
  const found = names.map((name) => {
    probe.style.color = `var(--color-${name})`;
    return [name, getComputedStyle(probe).color] as const;
  });
  probe.remove();
  return Object.fromEntries(found) as Record<K, string>;
}
