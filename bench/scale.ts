import type { Suite } from './suite.ts';

export const scale: Suite = () => Promise.reject(new Error('the suite scale is not written yet'));
