import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';

const MAX_LOG_BYTES = 10 * 1024 * 1024;
const POLL_MS = 200;
const TAIL_BYTES = 16 * 1024;

/** A log that starts at `start` in its file; what stands before it is of earlier processes. */
export interface LogFile {
  path: string;
  fd: number;
  start: number;
}

/**
 * Children write to the file itself, not to a pipe of the supervisor: they must be able to go on when it is stopped
 * or gone.
 */
export function openLog(path: string): LogFile {
  const fd = openSync(path, 'a', 0o600);
  if (fstatSync(fd).size > MAX_LOG_BYTES) ftruncateSync(fd, 0);
  return { path, fd, start: fstatSync(fd).size };
}

export function lastLines(log: LogFile, count: number): string[] {
  const fd = openSync(log.path, 'r');
  try {
    const start = Math.max(log.start, fstatSync(fd).size - TAIL_BYTES);
    return readFrom(fd, start)
      .toString()
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-count);
  } finally {
    closeSync(fd);
  }
}

/** Hands over every line as it comes, until the returned function is called; that one reads what is still there. */
export function followLines(log: LogFile, onLine: (line: string) => void): () => void {
  const fd = openSync(log.path, 'r');
  let offset = log.start;
  const read = (): void => {
    const bytes = readFrom(fd, offset);
    const end = bytes.lastIndexOf('\n') + 1;
    if (end === 0) return;
    offset += end;
    for (const line of bytes.toString('utf8', 0, end - 1).split('\n')) onLine(line);
  };
  const timer = setInterval(read, POLL_MS);
  return () => {
    clearInterval(timer);
    read();
    closeSync(fd);
  };
}

function readFrom(fd: number, start: number): Buffer {
  const buffer = Buffer.alloc(Math.max(0, fstatSync(fd).size - start));
  return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, start));
}
