import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { urlHost } from '../common/url-host.ts';
import { StartError } from './arguments.ts';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

export interface Settings {
  host: string;
  port: number;
  dataDir: string;
  logDir: string;
  /** Undefined where the keys come from the environment or from a file of the user's. */
  secretKeysFile: string | undefined;
  /** The API as agents reach it. */
  publicUrl: string;
  /** The API as a person at this machine reaches it. */
  localUrl: string;
  /** Configured agent nodes; an example of the same name gives way. */
  agentNodes: Record<string, unknown>;
  agentNodesInFile: string[];
  temporal: EmbeddedTemporal | ExternalTemporal;
}

export interface EmbeddedTemporal {
  embedded: true;
  port: number;
  uiPort: number;
  namespace: string;
}

export interface ExternalTemporal {
  embedded: false;
  address: string;
}

export function readSettings(processEnv: NodeJS.ProcessEnv): Settings {
  // As everywhere in Perdure, an empty variable is an unset one.
  const env = Object.fromEntries(
    Object.entries(processEnv).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
  const host = env['HOST'] ?? '127.0.0.1';
  const port = portOf(env, 'PORT', 8080);
  const dataDir = resolve(env['PERDURE_DATA_DIR'] ?? join(ROOT, '.perdure'));
  const hasOwnKeys = env['PERDURE_SECRET_KEYS'] !== undefined || env['PERDURE_SECRET_KEYS_FILE'] !== undefined;
  const isLocal = LOCAL_HOSTS.has(host);
  const file = env['PERDURE_AGENT_NODES_FILE'];
  return {
    host,
    port,
    dataDir,
    logDir: join(dataDir, 'logs'),
    secretKeysFile: hasOwnKeys ? undefined : join(dataDir, 'secret-keys'),
    publicUrl: env['PERDURE_PUBLIC_URL'] ?? `http://${isLocal ? '127.0.0.1' : urlHost(host)}:${port}`,
    localUrl: `http://${isLocal ? 'localhost' : urlHost(host)}:${port}`,
    agentNodes: jsonObject('PERDURE_AGENT_NODES', env['PERDURE_AGENT_NODES'] ?? '{}'),
    agentNodesInFile: file === undefined ? [] : Object.keys(jsonObject('PERDURE_AGENT_NODES_FILE', textOf(file))),
    temporal: temporalOf(env),
  };
}

/** Hosts that mean this machine, or all of its addresses. */
const LOCAL_HOSTS = new Set(['127.0.0.1', 'localhost', '0.0.0.0', '::', '::1']);

function temporalOf(env: Record<string, string>): EmbeddedTemporal | ExternalTemporal {
  const { namespace, address } = temporalConfig(env);
  if (address !== undefined) return { embedded: false, address };
  const port = portOf(env, 'PERDURE_TEMPORAL_PORT', 7233);
  const uiPort = portOf(env, 'PERDURE_TEMPORAL_UI_PORT', 8233);
  return { embedded: true, port, uiPort, namespace: namespace ?? 'default' };
}

function temporalConfig(env: Record<string, string>): { namespace: string | undefined; address: string | undefined } {
  try {
    const { namespace, connectionOptions } = loadClientConnectConfig({ overrideEnvVars: env });
    return { namespace, address: connectionOptions.address };
  } catch (err) {
    throw new StartError(`Temporal configuration: ${(err as Error).message}`);
  }
}

function portOf(env: Record<string, string>, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined) return fallback;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535)
    throw new StartError(`${name} must be a port number, not ${text}`);
  return port;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (err) {
    throw new StartError(`PERDURE_AGENT_NODES_FILE: cannot read ${file} (${(err as NodeJS.ErrnoException).code})`);
  }
}

function jsonObject(name: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new StartError(`${name} must be a JSON object: {"node": "http://..."}`);
}
