"""An agent as AgentField's own documentation writes them: python asker.py SERVER PORT NODE OTHER_NODE."""
import sys

from agentfield import Agent

server, port, node, other = sys.argv[1:5]
app = Agent(node_id=node, agentfield_server=server, callback_url=f"http://127.0.0.1:{port}")


@app.reasoner()
async def ask(question: str, until: str = "") -> dict:
    app.note(f"asking {other}", tags=["asked"])
    answer = await app.call(f"{other}.shout", text=question, until=until)
    return {"question": question, "answer": answer}


@app.reasoner()
async def count(n: int) -> list:
    return list(range(n))


app.serve(port=int(port), host="127.0.0.1")
