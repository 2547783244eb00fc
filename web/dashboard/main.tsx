import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../src/ui/tokens.css';
import { Languages } from '../src/i18n';
import { App } from './app';

// A view may be asked for in the query, for links from elsewhere: `/_/?view=connections`.
const view = new URLSearchParams(location.search).get('view');
if (view && !location.hash) history.replaceState(null, '', `${location.pathname}#/${view}`);

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Languages>
        <App />
      </Languages>
    </StrictMode>,
  );
}
