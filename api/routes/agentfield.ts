import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import { clip } from '../../common/clip.ts';
import type { JsonObject } from '../../workflows/execution.ts';
import type { AppDeps } from '../deps.ts';
import { eventView } from '../event-view.ts';
import { executionIdOf } from '../execution-id.ts';
import { isExecutionId } from '../ids.ts';
import { invalid, jsonBody, queryOf } from '../json-body.ts';
import { logsRequest, noteRequest } from '../node-schemas.ts';
import { notFound } from '../signalling.ts';

/** What AgentField's SDKs tell beside what an execution is about. */

const MAX_NOTE = 4_000;
const MAX_TAGS = 20;
const MAX_TAG = 100;
const MAX_LOG_TEXT = 4_000;

export const notesQuery = z.strictObject({ tags: z.string().max(1000).optional() });

export function agentFieldRoutes(deps: AppDeps): Hono {
  const { executions, logger } = deps;
  const app = new Hono();

  app.post('/executions/note', noteHandler(deps));

  app.get('/executions/:id/notes', async (c) => {
    const id = executionIdOf(c);
    const wanted = queryOf(c, notesQuery).tags?.toLowerCase().split(',').filter(Boolean) ?? [];
    await executions.get(id);
    const notes: ReturnType<typeof noteView>[] = [];
    for await (const { records } of executions.readLog(id, 0))
      for (const record of records) {
        const { kind, at, data } = eventView(record);
        if (kind !== 'note') continue;
        const view = noteView(data, at);
        if (wanted.length === 0 || view.tags.some((tag) => wanted.includes(tag.toLowerCase()))) notes.push(view);
      }
    c.header('Cache-Control', 'no-store');
    return c.json({ execution_id: id, notes, total: notes.length });
  });

  // Several per execution, and nobody waits for them: they go to where our own logs go.
  app.post('/executions/:id/logs', async (c) => {
    const executionId = executionIdOf(c);
    const body = await jsonBody(c, logsRequest);
    const entries = 'entries' in body && Array.isArray(body.entries) ? (body.entries as JsonObject[]) : [body];
    for (const entry of entries) logger.info({ execution_id: executionId, agent_log: clipped(entry) }, 'agent log');
    return c.json({ success: true, execution_id: executionId, accepted: entries.length }, 202);
  });

  // An SDK waits for the answer, not for what becomes of it: how an execution goes is told by its status callback.
  const taken = (c: Context) => c.json({ success: true, updated: true });
  app.post('/workflow/executions/events', taken);

  app.get('/health', (c) => c.json({ status: 'healthy', timestamp: new Date().toISOString(), checks: {} }));

  return app;
}

/** Where older SDKs send their notes. */
export function olderNoteRoute(deps: AppDeps): Hono {
  const app = new Hono();
  app.post('/executions/note', noteHandler(deps));
  return app;
}

function noteHandler({ executions }: AppDeps) {
  return async (c: Context): Promise<Response> => {
    const { message, tags } = await jsonBody(c, noteRequest);
    const id = c.req.header('X-Execution-ID')?.trim() || c.req.query('execution_id');
    if (!id) throw invalid([{ path: 'X-Execution-ID', message: 'is needed' }]);
    if (!isExecutionId(id)) throw notFound();
    const note = {
      text: clip(message, MAX_NOTE),
      ...(tags && tags.length > 0 && { tags: tags.slice(0, MAX_TAGS).map((tag) => tag.slice(0, MAX_TAG)) }),
    };
    await executions.report(id, [{ type: 'other', name: 'note', data: note }]);
    return c.json({
      success: true,
      note: noteView(note, new Date().toISOString()),
      message: 'Note added successfully',
    });
  };
}

function noteView(data: JsonObject, timestamp: string) {
  const { text = '', tags = [] } = data as { text?: string; tags?: string[] };
  return { message: text, tags, timestamp };
}

function clipped(entry: object): unknown {
  const text = JSON.stringify(entry);
  return text.length <= MAX_LOG_TEXT ? entry : { clipped: text.slice(0, MAX_LOG_TEXT) };
}
