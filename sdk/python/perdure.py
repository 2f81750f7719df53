"""A node of agents for Perdure, in one file with nothing but the standard library: copy it.

It joins by itself, says that it is there, answers every call with 202 and reports the outcome. When its process dies,
Perdure gives the execution to another one, with the last checkpoint: what was a `step` is not done again. See
docs/sdk.md; perdure.ts is the same in TypeScript. Python 3.9 or newer.
"""
import http.client
import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen


class Cancelled(Exception):
    """Somebody wants the execution to end, or it has ended without us."""


class Refused(Exception):
    """Perdure has answered that it will not."""

    def __init__(self, status, body):
        super().__init__(f"Perdure answered {status}: {body}")


def ask(method, url, body=None, headers=None, stopped=None):
    """Asks until there is an answer: a 5xx, or none, says that Perdure or its Temporal is away for a while."""
    pause = 0.1
    data = None if body is None else json.dumps(body).encode()
    while True:
        request = Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            # The time limit is for one request, and longer than any `?wait=`.
            with urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except HTTPError as error:
            if error.code < 500:
                return error.code, json.loads(error.read() or "null")
            wanted = error.headers.get("Retry-After") or ""
            pause = max(pause, min(int(wanted), 60) if wanted.isdigit() else 0)
        except (OSError, http.client.HTTPException):
            pass
        if stopped is None:
            time.sleep(pause)
        elif stopped.wait(pause):
            raise Cancelled("cancelled")
        pause = min(pause * 2, 5)


class Message:
    """Something that a person has said. It comes again until you say what became of it."""

    def __init__(self, said, receipt):
        self.id, self.text, self.data, self.by = said["id"], said.get("text"), said.get("data"), said.get("from")
        self._receipt = receipt

    def applied(self, step):
        """You do as it says, from this step on."""
        self._receipt({"type": "steer.applied", "message_id": self.id, "step": step})

    def rejected(self, reason):
        self._receipt({"type": "steer.rejected", "message_id": self.id, "reason": reason})


class Execution:
    """One call of a reasoner."""

    def __init__(self, api, headers, body):
        self._api, self._events_url = api, headers["Perdure-Events-URL"]
        self.id, self.run_id = headers["X-Execution-ID"], headers["X-Run-ID"]
        # 1, 2, 3 …: not the first one has perhaps a checkpoint to go on from.
        self.attempt = int(headers.get("X-Execution-Attempt") or 1)
        # In a later turn, and after a crash that had left a checkpoint, the input is only a part of the body.
        continued = body if headers.get("Perdure-Turn") else {}
        # What `checkpoint` was given last, by this process or one before it.
        self.last_checkpoint = continued.get("checkpoint")
        # The answer to a question, in the turn after it.
        self.answer = continued.get("answer")
        self._unseen = continued.get("messages") or []
        self._known, self._calls, self._receipts = set(), {}, []
        # Set when the execution is cancelled: for whatever waits.
        self.stopped = threading.Event()

    def cancel(self):
        self.stopped.set()

    def step(self, key, work):
        """The value of a step that is done once in an execution, however often the execution is begun.

        Between the effect and the storing of its value a process may die: `work` is given an idempotency key for whoever
        has the effect.
        """
        url = f"{self._api}/executions/{self.id}/steps/{quote(key, safe='')}"
        status, body = self._ask("GET", url)
        if status == 200:
            return body["value"]
        if body.get("code") != "step_not_found":
            raise Refused(status, body)
        status, body = self._ask("PUT", url, {"value": work(f"{self.id}/{key}")})
        # 409: a process that was taken for dead has stored another one. All go on with that.
        if status < 300 or body.get("code") == "step_differs":
            return body["value"]
        if body.get("code") == "execution_finished":
            self._end()
        raise Refused(status, body)

    def progress(self, current_action, percent=None):
        self._tell({"type": "progress", "current_action": current_action, "progress_pct": percent})

    def note(self, text, tags=()):
        self._tell({"type": "note", "text": text, "tags": list(tags)})

    def checkpoint(self, data):
        """What whoever goes on after a crash is given as `last_checkpoint`."""
        self._tell({"type": "checkpoint", "data": data})
        self.last_checkpoint = data

    def messages(self):
        """What people have said since the last time. Waits while the execution is paused; raises `Cancelled`."""
        while True:
            directions = self._tell()
            said = {message["id"]: message for message in self._unseen + directions.get("messages", [])}
            new = [message for message in said.values() if message["id"] not in self._known]
            self._known.update(said)
            self._unseen = []
            if new or directions.get("control") != "hold":
                return [Message(message, lambda event: self._receipts.append(with_id(event))) for message in new]
            if self.stopped.wait(1):
                self._end()

    def call(self, target, input=None, key=None):
        """The result of another target, as a child of this execution in the same run.

        A call that is made again after a crash is the same one if its key is: the n-th call of a target, unless said
        otherwise.
        """
        count = self._calls[target] = self._calls.get(target, 0) + 1
        headers = {
            "X-Run-ID": self.run_id,
            "X-Parent-Execution-ID": self.id,
            "Idempotency-Key": f"{self.id}/{key or f'{target}/{count}'}",
        }
        status, body = self._ask("POST", f"{self._api}/execute/async/{target}", {"input": input or {}}, headers)
        if status >= 300:
            raise Refused(status, body)
        while True:
            status, child = self._ask("GET", f"{self._api}/executions/{body['execution_id']}?wait=20")
            if status != 200:
                raise Refused(status, child)
            if child["status"] == "succeeded":
                return child["result"]
            if child.get("completed_at"):
                raise RuntimeError(f"{target}: {child['status']}, {child.get('error')}")

    def flush(self):
        """What is still to be said of messages when the work is over."""
        if self._receipts:
            self._tell()

    def _tell(self, *events):
        told, self._receipts = self._receipts + [with_id(event) for event in events], []
        status, body = self._ask("POST", self._events_url, {"events": told})
        if status == 409 or (body or {}).get("control") == "cancel":
            self._end()
        if status >= 300:
            raise Refused(status, body)
        return body

    def _ask(self, method, url, body=None, headers=None):
        if self.stopped.is_set():
            raise Cancelled("cancelled")
        return ask(method, url, body, headers, self.stopped)

    def _end(self):
        self.cancel()
        raise Cancelled("the execution is cancelled, or over")


def with_id(event):
    """So that one that is sent again is recorded once."""
    return {"id": str(uuid.uuid4()), **event}


def serve(node, reasoners, schemas=None, perdure=None, host="127.0.0.1", port=None, heartbeat=2.0, grace=10.0):
    """Serves a node until SIGTERM or SIGINT; for the main thread.

    `reasoners` are functions of an input and an `Execution`, by name; `schemas` JSON Schemas of their inputs. `grace` is
    how many seconds a stop waits for what is in hand: then other processes go on with it.
    """
    api = f"{perdure or os.environ.get('PERDURE_URL', 'http://localhost:8080')}/api/v1"
    instance_id = str(uuid.uuid4())
    running, lock, stopping, out = {}, threading.Lock(), threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind, name, *more = self.path.strip("/").split("/") + [""]
            if kind == "_internal" and more[1:2] == ["cancel"] and more[0] in running:
                running[more[0]].cancel()
            self.respond(begin(name, self.headers, text) if kind == "reasoners" else 200)

        def do_GET(self):
            self.respond(200)

        def respond(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def begin(name, headers, text):
        if name not in reasoners:
            return 404
        try:
            body = json.loads(text or "{}")
        except ValueError:
            return 400
        execution = Execution(api, headers, body)
        with lock:
            # Called again while it is at work: it goes on.
            if execution.id in running:
                return 202
            if stopping.is_set():
                return 503
            running[execution.id] = execution
        given = body.get("input") if headers.get("Perdure-Turn") else body
        work = (reasoners[name], given, execution, headers["Perdure-Callback-URL"])
        threading.Thread(target=run, args=work, daemon=True).start()
        return 202

    def run(reasoner, given, execution, callback_url):
        try:
            outcome = {"status": "succeeded", "result": reasoner(given, execution)}
        except Exception as error:
            is_cancelled = execution.stopped.is_set() or isinstance(error, Cancelled)
            outcome = {"status": "cancelled"} if is_cancelled else {"status": "failed", "error": repr(error)}
        try:
            execution.flush()
        except Exception:
            pass
        # A refusal is an answer, too: 409 and 404 say that the execution is over or gone.
        ask("POST", callback_url, outcome)
        with lock:
            del running[execution.id]

    def say(method, path, body, stopped=None):
        return ask(method, f"{api}/nodes/{path}", {"instance_id": instance_id, **body}, stopped=stopped)

    def register():
        listed = [{"id": name, "input_schema": (schemas or {}).get(name)} for name in reasoners]
        config = {"heartbeat_interval": f"{int(heartbeat * 1000)}ms"}
        join = {"id": node, "base_url": url, "communication_config": config, "reasoners": listed}
        status, body = say("POST", "register", join)
        if status >= 300:
            raise Refused(status, body)

    def beat():
        while not out.wait(heartbeat):
            try:
                # 404: Perdure does not know us. It has taken us for dead, or has lost its memory.
                if say("POST", f"{node}/heartbeat", {}, out)[0] == 404 and not stopping.is_set():
                    register()
            except Exception as error:
                print(error, file=sys.stderr)

    def say_leaving(method, path, body):
        # Perdure may be away: that must not keep us.
        said = threading.Thread(target=say, args=(method, f"{node}/{path}", body), daemon=True)
        said.start()
        return said

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = ThreadingHTTPServer((host, int(os.environ.get("PORT", 0)) if port is None else port), Handler)
    url = f"http://{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    register()
    threading.Thread(target=beat, daemon=True).start()

    stopping.wait()
    say_leaving("POST", "shutdown", {})
    end = time.monotonic() + grace
    while running and time.monotonic() < end:
        time.sleep(0.05)
    # What is not done by now is handed over at once.
    out.set()
    say_leaving("PATCH", "status", {"phase": "offline"}).join(1)
    server.shutdown()
