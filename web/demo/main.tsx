import { mount } from '../src/mount';
import { App } from './app';

mount(App);
