import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { urlHost } from '../common/url-host.ts';
import type { ChildSpec } from './child.ts';
import { freePorts } from './ports.ts';
import { ROOT } from './settings.ts';
import type { EmbeddedTemporal, Settings } from './settings.ts';

/** The loader by its full address: `--import tsx` alone is looked for from the folder the user is in. */
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

const EXAMPLES = [
  { node: 'hello-world', file: 'examples/hello-world.ts' },
  { node: 'doc-processor', file: 'examples/doc-processor.py' },
  { node: 'research-agent', file: 'examples/research-agent.ts' },
  { node: 'approval-agent', file: 'examples/approval-agent.ts' },
];

export interface Example {
  node: string;
  file: string;
  port: number;
}

/** The examples that can run here; their ports stay the same over restarts. */
export async function findExamples(settings: Settings, say: (line: string) => void): Promise<Example[]> {
  const found = EXAMPLES.filter(({ node, file }) => {
    // Somebody else's agent of that name: do not start one that nobody calls.
    if (node in settings.agentNodes || settings.agentNodesInFile.includes(node)) return false;
    if (!existsSync(join(ROOT, file))) return false;
    if (!file.endsWith('.py') || spawnSync('python3', ['--version']).status === 0) return true;
    say(`no python3 here: going on without ${node}`);
    return false;
  });
  const ports = await freePorts(found.length, '127.0.0.1');
  return found.map((example, index) => ({ ...example, port: ports[index] ?? 0 }));
}

export function temporalSpec(
  settings: Settings,
  temporal: EmbeddedTemporal,
  env: NodeJS.ProcessEnv,
  onLogLine: (line: string) => void,
): ChildSpec {
  return {
    name: 'temporal',
    command: join(ROOT, 'temporal-dev.sh'),
    args: [
      `--port ${temporal.port} --ui-port ${temporal.uiPort}`.split(' '),
      ['--db', join(settings.dataDir, 'temporal.db')],
      ['--namespace', temporal.namespace],
    ].flat(),
    env,
    onLogLine,
  };
}

/** The environment of worker and API. */
export function serviceEnv(settings: Settings, examples: Example[], env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const exampleNodes = Object.fromEntries(examples.map(({ node, port }) => [node, `http://127.0.0.1:${port}`]));
  return {
    ...(settings.temporal.embedded ? embeddedTemporalEnv(settings.temporal, env) : env),
    HOST: settings.host,
    PORT: String(settings.port),
    PERDURE_PUBLIC_URL: settings.publicUrl,
    PERDURE_AGENT_NODES: JSON.stringify({ ...exampleNodes, ...settings.agentNodes }),
    ...(settings.secretKeysFile !== undefined && { PERDURE_SECRET_KEYS_FILE: settings.secretKeysFile }),
  };
}

export function serviceSpecs(settings: Settings, examples: Example[], env: NodeJS.ProcessEnv): ChildSpec[] {
  const service = serviceEnv(settings, examples, env);
  return [
    { name: 'worker', ...script('worker/main.ts'), env: service },
    {
      name: 'api',
      ...script('api/main.ts'),
      env: service,
      healthUrl: `http://${connectHost(settings.host)}:${settings.port}/ready`,
    },
    ...examples.map((example) => exampleSpec(example, settings, env)),
  ];
}

function exampleSpec({ node, file, port }: Example, settings: Settings, env: NodeJS.ProcessEnv): ChildSpec {
  return {
    name: node,
    ...script(file),
    env: {
      ...withoutSecrets(env),
      HOST: '127.0.0.1',
      PORT: String(port),
      PERDURE_URL: settings.publicUrl,
      PYTHONUNBUFFERED: '1',
    },
    healthUrl: `http://127.0.0.1:${port}/health`,
    optional: true,
  };
}

function script(file: string): { command: string; args: string[] } {
  const path = join(ROOT, file);
  if (file.endsWith('.py')) return { command: 'python3', args: [path] };
  return { command: process.execPath, args: ['--import', TSX, path] };
}

function connectHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return urlHost(host);
}

/** The dev server speaks neither TLS nor API keys: settings meant for another server would only keep us out. */
function embeddedTemporalEnv(temporal: EmbeddedTemporal, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const foreign = /^TEMPORAL_(API_KEY$|TLS|GRPC_META_)/;
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name))),
    TEMPORAL_ADDRESS: `127.0.0.1:${temporal.port}`,
    TEMPORAL_NAMESPACE: temporal.namespace,
    PERDURE_TEMPORAL_UI_URL: env['PERDURE_TEMPORAL_UI_URL'] || `http://localhost:${temporal.uiPort}`,
  };
}

/** Agents call Perdure over HTTP; neither its keys nor its way into Temporal are theirs to know. */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(TEMPORAL_|PERDURE_SECRET_KEYS)/.test(name)));
}
