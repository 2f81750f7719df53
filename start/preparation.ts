import { chmodSync, mkdirSync } from 'node:fs';
import { loadApiConfig } from '../api/config.ts';
import { isSettingError } from '../common/environment.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { StartError } from './arguments.ts';
import { serviceEnv } from './processes.ts';
import { ensureSecretKeys } from './secret-keys.ts';
import type { Settings } from './settings.ts';

/** Makes the data folder and what must lie in it before anything starts. */
export function prepareDataDir({ dataDir, logDir, secretKeysFile }: Settings): void {
  try {
    // 0700 whatever the umask; a folder that was there before is tightened too, for it holds keys and histories.
    mkdirSync(logDir, { recursive: true, mode: 0o700 });
    chmodSync(dataDir, 0o700);
    if (secretKeysFile !== undefined) ensureSecretKeys(secretKeysFile);
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    if (code === undefined) throw err;
    throw new StartError(`PERDURE_DATA_DIR: cannot use ${dataDir} (${code})`);
  }
}

/** Says what worker or API would refuse, once and before they would be restarted over it. */
export function checkServiceSettings(settings: Settings, env: NodeJS.ProcessEnv): void {
  const service = serviceEnv(settings, [], env);
  try {
    loadApiConfig(service);
    loadWorkerConfig(service);
  } catch (err) {
    if (isSettingError(err)) throw new StartError(err.message);
    throw err;
  }
}
