import { mount } from '../src/mount';
import { App } from './app';

// A view may be asked for in the query, for links from elsewhere: `/_/?view=connections`.
const view = new URLSearchParams(location.search).get('view');
if (view && !location.hash) history.replaceState(null, '', `${location.pathname}#/${view}`);

mount(App);
