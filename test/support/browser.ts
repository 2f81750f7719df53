import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { chromium } from 'playwright-core';
import type { BrowserContext } from 'playwright-core';
import { isProgram } from './programs.ts';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where a Chromium is, by `PERDURE_CHROMIUM` or in the usual places; undefined: there is none. */
export function findChromium(): string | undefined {
  const { PERDURE_CHROMIUM: named } = process.env;
  return [named, ...PLACES].find((path) => path !== undefined && isProgram(path));
}

/** A browser without a window that talks to nobody but the pages it is given. */
export async function openBrowser(t: Pick<TestContext, 'after'>, executablePath: string): Promise<BrowserContext> {
  const profile = await mkdtemp(join(tmpdir(), 'perdure-browser-'));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
    ],
  });
  t.after(async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  });
  return browser;
}
