"""The agent that asker.py calls: python shouter.py SERVER PORT NODE."""
import asyncio
import os
import sys

from agentfield import Agent

server, port, node = sys.argv[1:4]
app = Agent(node_id=node, agentfield_server=server, callback_url=f"http://127.0.0.1:{port}")


@app.reasoner()
async def shout(text: str, until: str = "") -> dict:
    while until and not os.path.exists(until):
        await asyncio.sleep(0.1)
    return {"text": text.upper()}


@app.skill()
def add(a: int, b: int) -> dict:
    return {"sum": a + b}


app.serve(port=int(port), host="127.0.0.1")
