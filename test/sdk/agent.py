"""What the tests of the helper library do with it. agent.ts is the same in TypeScript."""
import json
import os
import sys
from urllib.request import Request, urlopen

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../sdk/python"))
from perdure import serve


def tell(url, name, **more):
    """Tells the outside world something; an effect has the name under which it counts once."""
    body = {"name": name, "pid": os.getpid(), **more}
    with urlopen(Request(url, json.dumps(body).encode())) as answer:
        return json.load(answer)


def ten_steps(given, execution):
    begun = (execution.last_checkpoint or {}).get("done", 0)
    tell(given["outside"], "began", attempt=execution.attempt, **{"from": begun})
    values = []
    for n in range(begun + 1, 11):
        values.append(execution.step(f"step-{n}", lambda key: tell(given["outside"], key)))
        execution.checkpoint({"done": n})
    return {"from": begun, "values": values}


def parent(given, execution):
    execution.note("calls a child", ["family"])
    execution.progress("calling", 50)
    answer = execution.call(given["target"], {"outside": given["outside"]})
    tell(given["outside"], "called", attempt=execution.attempt)
    return {"answer": answer, "again": execution.call(given["target"], {"outside": given["outside"]})}


def child(given, execution):
    return tell(given["outside"], f"child {execution.id}")


def listener(given, execution):
    heard = []
    while True:
        for message in execution.messages():
            if message.text is None:
                message.rejected("it has no text")
            else:
                heard.append(message.text)
                message.applied(f"heard {len(heard)}")
        if heard[-1:] == ["end"]:
            return heard
        tell(given["outside"], "listening")


def stubborn(given, execution):
    tell(given["outside"], "waiting")
    return {"aborted": execution.stopped.is_set()}


serve(
    node=os.environ["NODE_NAME"],
    heartbeat=int(os.environ["HEARTBEAT_MS"]) / 1000,
    reasoners={f.__name__: f for f in (ten_steps, parent, child, listener, stubborn)},
    schemas={"ten_steps": {"type": "object", "required": ["outside"]}},
)
