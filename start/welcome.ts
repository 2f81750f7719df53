import type { Child } from './child.ts';
import type { Example } from './processes.ts';
import type { Settings } from './settings.ts';

/** What a person wants to know, and to paste, once all is up. */
export function welcome(settings: Settings, examples: Example[], children: readonly Child[], logDir: string): string {
  const { temporal, localUrl } = settings;
  const hasHelloWorld = examples.some(({ node }) => node === 'hello-world');
  return [
    '',
    'Perdure is up.',
    '',
    `  API              ${localUrl}`,
    `  Live pages       ${localUrl}/ui`,
    temporal.embedded
      ? `  Temporal Web UI  http://localhost:${temporal.uiPort}`
      : `  Temporal         ${temporal.address} (not started here)`,
    `  Logs             ${logDir}`,
    '',
    `  ${children.map((child) => `${child.name} ${child.pid() ?? 'down'}`).join(', ')}`,
    '',
    'Kill any of these pids, with -9 if you like: the process is started again and no execution is lost.',
    'Ctrl-C stops everything.',
    ...(hasHelloWorld
      ? [
          '',
          'Try it:',
          '',
          `  curl -s ${localUrl}/api/v1/execute/hello-world.greet -H 'Content-Type: application/json' -d '{"input":{"name":"Ada"}}'`,
        ]
      : []),
    '',
  ].join('\n');
}
