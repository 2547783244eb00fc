// Puts an application into its page.

import { StrictMode, type ComponentType } from 'react';
import { createRoot } from 'react-dom/client';
import { Languages } from './i18n';
import './ui/tokens.css';

/** Renders it, in the visitor's language. */
export function mount(App: ComponentType): void {
  const root = document.getElementById('root');
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <Languages>
        <App />
      </Languages>
    </StrictMode>,
  );
}
