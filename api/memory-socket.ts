import type { IncomingMessage } from 'node:http';
import type { AppDeps } from './deps.ts';
import { memoryFilterOf } from './memory-filter.ts';
import { CLOSE, PING_MS, refuseOtherOrigin } from './web-socket.ts';
import type { ServeSocket, SocketRoute } from './web-socket.ts';

const MEMORY_PATH = '/api/v1/memory/events/ws';

/**
 * `GET /api/v1/memory/events/ws` as a WebSocket: each frame is one change of a memory, as AgentField's SDKs expect it,
 * and nothing else is sent. What the client sends is ignored.
 */
export function createMemorySocket({ memoryChanges }: AppDeps): SocketRoute {
  async function admit(url: URL, request: IncomingMessage, over: AbortSignal): Promise<ServeSocket> {
    refuseOtherOrigin(request);
    const parts = memoryChanges.follow(memoryFilterOf(url.searchParams), { idleMs: PING_MS, signal: over });
    over.addEventListener('abort', () => void parts.return(undefined), { once: true });
    // Who is connected misses nothing from then on.
    const first = await parts.next();
    return async ({ socket, send }) => {
      for (const event of first.value ?? []) await send(event);
      for await (const events of parts) for (const event of events) await send(event);
      if (!over.aborted) socket.close(CLOSE.policy, 'too slow');
    };
  }

  return (url, request, over) => (url.pathname === MEMORY_PATH ? admit(url, request, over) : undefined);
}
