import { Agent, get } from 'node:http';
import type { ClientRequest } from 'node:http';

/** Readers of event streams, in this process. */
export interface EventReaders {
  /** Resolves when the stream has begun. `onStep` is told the name of each step as soon as it is here. */
  open: (url: string, onStep: (name: string, at: number) => void) => Promise<void>;
  close: () => void;
}

const STEP_NAME = /"kind":"step".*?"name":"([^"]*)"/;

export function createEventReaders(): EventReaders {
  const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
  const requests = new Set<ClientRequest>();
  return {
    open: (url, onStep) =>
      new Promise((resolve, reject) => {
        const request = get(url, { agent, headers: { accept: 'text/event-stream' } }, (response) => {
          if (response.statusCode !== 200) return reject(new Error(`HTTP ${response.statusCode} for ${url}`));
          let rest = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            const at = performance.now();
            const events = (rest + chunk).split('\n\n');
            rest = events.pop() ?? '';
            for (const event of events) {
              const name = STEP_NAME.exec(event)?.[1];
              if (name !== undefined) onStep(name, at);
            }
            resolve();
          });
          response.on('error', () => undefined);
        });
        requests.add(request);
        request.on('error', reject);
      }),
    close: () => {
      for (const request of requests) request.destroy();
      agent.destroy();
    },
  };
}
