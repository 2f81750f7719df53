import { Hono } from 'hono';
import type { Context } from 'hono';
import { INSTANCE_PHASES } from '../../workflows/node-contract.ts';
import type { InstancePhase } from '../../workflows/node-contract.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { jsonBody } from '../json-body.ts';
import { createNodeReader } from '../node-reader.ts';
import { heartbeatRequest, registerRequest, shutdownRequest, statusRequest } from '../node-schemas.ts';

/** Agent nodes join, say that they are there, and leave: in AgentField's shapes. */
export function nodeRoutes({ nodes, configuredNodes }: AppDeps): Hono {
  const app = new Hono();
  const reader = createNodeReader({ nodes, configuredNodes });

  async function register(c: Context): Promise<Response> {
    const { state, instance } = await nodes.register(await jsonBody(c, registerRequest));
    return c.json(
      {
        success: true,
        message: `agent node '${state.node}' is registered`,
        node_id: state.node,
        instance_id: instance.instanceId,
        lease_seconds: instance.leaseMs / 1000,
      },
      201,
    );
  }
  app.post('/nodes/register', register);
  app.post('/nodes', register);

  app.post('/nodes/:node/heartbeat', async (c) => {
    const { instance_id } = await jsonBody(c, heartbeatRequest, { empty: {} });
    const instance = await nodes.heartbeat(c.req.param('node'), instance_id);
    return c.json({
      success: true,
      message: 'heartbeat received',
      timestamp: new Date().toISOString(),
      ...(instance && { instance_id: instance.instanceId, lease_seconds: instance.leaseMs / 1000 }),
    });
  });

  app.patch('/nodes/:node/status', async (c) => {
    const { instance_id, phase } = await jsonBody(c, statusRequest, { empty: {} });
    const node = c.req.param('node');
    const instance = await nodes.heartbeat(node, instance_id);
    // Of what else they may say of their health nothing follows.
    if (isPhase(phase)) await nodes.setPhase(node, instance_id, phase);
    const leaseMs = instance?.leaseMs ?? 0;
    return c.json({
      lease_seconds: Math.floor(leaseMs / 1000),
      next_lease_renewal: new Date(Date.now() + leaseMs).toISOString(),
    });
  });

  app.post('/nodes/:node/shutdown', async (c) => {
    const { instance_id, reason } = await jsonBody(c, shutdownRequest, { empty: {} });
    await nodes.setPhase(c.req.param('node'), instance_id, 'draining', reason ?? undefined);
    return c.json({ success: true, message: 'it gets no further calls' }, 202);
  });

  app.get('/nodes', async (c) => {
    const known = await reader.list();
    c.header('Cache-Control', 'no-store');
    return c.json({ nodes: known, count: known.length });
  });

  app.get('/nodes/:node', async (c) => {
    const name = c.req.param('node');
    const view = await reader.find(name, { withHeartbeats: true });
    if (!view) throw new ApiError('node_not_found', `there is no agent node '${name.slice(0, 128)}'`);
    c.header('Cache-Control', 'no-store');
    return c.json(view);
  });

  return app;
}

function isPhase(text: string | null | undefined): text is InstancePhase {
  return (INSTANCE_PHASES as readonly string[]).includes(text ?? '');
}
