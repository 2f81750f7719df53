import { execFileSync } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A file system of its own that can be filled up. */
export interface SmallDisk {
  path: string;
  /** Until not a byte is left. */
  fill: () => Promise<void>;
  free: () => Promise<void>;
  unmount: () => void;
}

const SIZE = '1500m';
const CHUNK = Buffer.alloc(1024 * 1024);

/** A tmpfs, which takes root; undefined where there is none to be had. */
export async function mountSmallDisk(path: string): Promise<SmallDisk | undefined> {
  await mkdir(path, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0700`, 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const filler = join(path, 'filler');
  let isMounted = true;
  return {
    path,
    fill: async () => {
      const file = await open(filler, 'w');
      try {
        // Whole chunks first, then whatever still fits: SQLite must not find a page.
        for (let size = CHUNK.length; size >= 512;) {
          try {
            const { bytesWritten } = await file.write(CHUNK, 0, size);
            if (bytesWritten < size) size = Math.floor(size / 2);
          } catch (err) {
            if ((err as NodeJS.ErrnoException).code !== 'ENOSPC') throw err;
            size = Math.floor(size / 2);
          }
        }
      } finally {
        await file.close();
      }
    },
    free: () => rm(filler, { force: true }),
    unmount: () => {
      if (isMounted) execFileSync('umount', ['-l', path], { stdio: 'ignore' });
      isMounted = false;
    },
  };
}
