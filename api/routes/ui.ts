import { readFileSync } from 'node:fs';
import { Hono } from 'hono';
import type { Context } from 'hono';
import type { AppDeps } from '../deps.ts';

/** Nothing from elsewhere, no inline script: what agents say cannot become code in the page. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const FOLDER = new URL('../../ui/', import.meta.url);
const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};
const SCRIPTS = [
  'style.css',
  'dom.js',
  'context.js',
  'control.js',
  'execution.js',
  'executions.js',
  'log.js',
  'messages.js',
] as const;

/** The live pages: files of `ui/`, as they are, that use the API like any other client. */
export function uiRoutes({ temporalUiUrl, client }: AppDeps): Hono {
  const app = new Hono();
  for (const name of SCRIPTS) app.get(`/ui/${name}`, serve(name));
  app.get('/ui', serve('executions.html'));
  app.get('/ui/executions/:id', serve('execution.html'));
  app.get('/ui/settings.json', (c) =>
    c.json({ temporal_ui_url: temporalUiUrl ?? null, namespace: client.options.namespace }),
  );
  return app;
}

function serve(name: string): (c: Context) => Response {
  const text = readFileSync(new URL(name, FOLDER), 'utf8');
  const type = TYPES[name.split('.').at(-1) as keyof typeof TYPES];
  return (c) =>
    c.body(text, 200, {
      'Content-Type': type,
      'Content-Security-Policy': POLICY,
      'Cache-Control': 'no-cache',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
}
