import { readFileSync } from 'node:fs';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { z } from 'zod';
import { DEFAULT_TASK_QUEUE } from '../workflows/contract.ts';
import { AgentNodesError, loadAgentNodes } from './agent-nodes.ts';
import type { AgentNodeDirectory } from './agent-nodes.ts';
import { createSealer, parseSecretKeys, SealingError } from './sealing.ts';
import type { Sealer } from './sealing.ts';

/** A setting that cannot be used: one line for whoever started the process. */
export class ConfigError extends Error {}

const KIB = 1024;
/** Temporal refuses a payload of 2 MiB; what stands around a result in one must fit too. */
export const MAX_PAYLOAD_BYTES = 1800 * KIB;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const commonEnvironment = z.object({
  // Temporal takes 1000; the queues of agents and of single workers have longer names.
  PERDURE_TASK_QUEUE: z
    .string()
    .regex(/^\S.{0,198}\S$|^\S$/, 'must be 1 to 200 characters without a space at either end')
    .default(DEFAULT_TASK_QUEUE),
  PERDURE_AGENT_NODES_FILE: z.string().min(1).optional(),
  PERDURE_AGENT_NODES: z.string().min(1).optional(),
  PERDURE_SECRET_KEYS: z.string().min(1).optional(),
  PERDURE_SECRET_KEYS_FILE: z.string().min(1).optional(),
  PERDURE_MAX_RESULT_BYTES: wholeNumber(1024, MAX_PAYLOAD_BYTES).default(1024 * KIB),
  PERDURE_LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
});

export interface CommonConfig {
  taskQueue: string;
  agentNodes: AgentNodeDirectory;
  sealer: Sealer;
  maxResultBytes: number;
  logLevel: (typeof LOG_LEVELS)[number];
  temporal: ReturnType<typeof loadClientConnectConfig> & { namespace: string };
}

/** A whole number in the environment. Empty counts as unset. */
export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`);
}

/** Checks the variables a schema names; an empty variable is an unset one. */
export function readEnvironment<T extends z.ZodType>(schema: T, env: NodeJS.ProcessEnv): z.infer<T> {
  const parsed = schema.safeParse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConfigError(`${issue?.path.join('.')}: ${issue?.message}`);
}

export function loadCommonConfig(env: NodeJS.ProcessEnv): CommonConfig {
  const read = readEnvironment(commonEnvironment, env);
  const { namespace, ...temporal } = loadClientConnectConfig({ overrideEnvVars: stringsOf(env) });
  return {
    taskQueue: read.PERDURE_TASK_QUEUE,
    agentNodes: loadAgentNodes({ file: read.PERDURE_AGENT_NODES_FILE, json: read.PERDURE_AGENT_NODES }),
    sealer: createSealer(secretKeys(read.PERDURE_SECRET_KEYS, read.PERDURE_SECRET_KEYS_FILE)),
    maxResultBytes: read.PERDURE_MAX_RESULT_BYTES,
    logLevel: read.PERDURE_LOG_LEVEL,
    temporal: { ...temporal, namespace: namespace ?? 'default' },
  };
}

function secretKeys(keys: string | undefined, file: string | undefined): Map<string, Buffer> {
  const text = secretKeysText(keys, file);
  try {
    return parseSecretKeys(text);
  } catch (err) {
    if (!(err instanceof SealingError)) throw err;
    throw new ConfigError(
      keys === undefined ? `PERDURE_SECRET_KEYS_FILE ${file}: ${err.message}` : `PERDURE_SECRET_KEYS: ${err.message}`,
    );
  }
}

function secretKeysText(keys: string | undefined, file: string | undefined): string {
  if (keys !== undefined) return keys;
  if (file === undefined)
    throw new ConfigError(
      'PERDURE_SECRET_KEYS or PERDURE_SECRET_KEYS_FILE must be set: id:base64 of 32 random bytes, the same for API ' +
        'and worker (make one: echo "k1:$(openssl rand -base64 32)"); npm start makes one by itself',
    );
  try {
    return readFileSync(file, 'utf8');
  } catch (err) {
    throw new ConfigError(`PERDURE_SECRET_KEYS_FILE: cannot read ${file} (${(err as NodeJS.ErrnoException).code})`);
  }
}

function stringsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ''),
  );
}

/** Runs a process entry; a setting that cannot be used is one line and exit code 1, not a stack trace. */
export function runMain(name: string, main: () => Promise<void>): void {
  main().catch((err: unknown) => {
    const text = isSettingError(err)
      ? err.message
      : err instanceof Error
        ? (err.stack ?? `${err.name}: ${err.message}`)
        : String(err);
    process.stderr.write(`${name}: ${text}\n`);
    process.exit(1);
  });
}

/** Whether an error is about a setting, and its message enough for whoever made that setting. */
export function isSettingError(err: unknown): err is Error {
  return err instanceof ConfigError || err instanceof AgentNodesError;
}
