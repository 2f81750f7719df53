"""An agent that answers later: node `doc-processor`, reasoner `analyze`. Python's standard library only.

It acknowledges a call with 202, works in the background and reports progress and the result to the URL in the
`Perdure-Callback-URL` header. It extracts a summary, keywords, entities and statistics from a text, without a model,
a network or a key.

    python3 examples/doc-processor.py
    input: {"text": "..."} or {"file": "README.md"}

Steps, for the demo knobs: accept (before the 202), read, split, keywords, entities, summarise.
"""

import json
import math
import os
import re
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter, OrderedDict
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NODE = "doc-processor"
STEPS = ("accept", "read", "split", "keywords", "entities", "summarise")
ROOT = Path(os.environ.get("DOCUMENTS_ROOT") or Path(__file__).resolve().parent.parent).resolve()

MAX_TEXT_BYTES = 1024 * 1024
# JSON may need several bytes for one of the text's.
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DROPPED_BYTES = 32 * 1024 * 1024
MAX_STEP_MS = 3_600_000
MAX_RUNNING = 64
MAX_REMEMBERED = 500
MAX_PER_KIND = 30
SHUTDOWN_GRACE_S = 10
CALLBACK_TIMEOUT_S = 10
# A lost progress report is made good by the next one; a lost result would be the whole work lost.
PROGRESS_PATIENCE_S = 3
RESULT_PATIENCE_S = 600
LONGEST_PAUSE_S = 30

HELP = f"""doc-processor: an agent that answers later, with one reasoner, analyze

  POST /reasoners/analyze  {{"file": "README.md"}}  ->  202, then reports to the Perdure-Callback-URL

Input:
  text  the text itself, at most {MAX_TEXT_BYTES} bytes, or
  file  a text file of this repository, relative to its root (no hidden files)

Environment: PORT (default 0: a free port), HOST (default 127.0.0.1),
  DOCUMENTS_ROOT (default: this repository; "file" is looked up there)

Steps: {", ".join(STEPS)}; accept is before the 202
Demo knobs, inside the input:
  "demo": {{"step_ms": 500, "fail_at": "<step>", "fail_status": 422, "crash_at": "<step>", "crash_always": false}}
  step_ms       extra milliseconds per step after accept (at most {MAX_STEP_MS})
  fail_at       the step that fails: at accept the answer has fail_status (400-599; default 422), later the
                failure is reported by callback
  crash_at      the step at which the process exits with code 70, on the first attempt only
  crash_always  true: on every attempt"""


class Refused(Exception):
    """An answer other than 202. Perdure retries 429 and 5xx; any other status is final."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Failed(Exception):
    """The work cannot be done; reported by callback."""

    def __init__(self, message, details):
        super().__init__(message)
        self.details = details


class Cancelled(Exception):
    """Nobody wants the result any more."""


# --- What the caller sends -------------------------------------------------------------------------------------------


def is_whole_number(value, low, high):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


class Demo:
    """The demo knobs: slow, failing and dying on request."""

    def __init__(self, given, attempt):
        if not isinstance(given, dict):
            raise Refused(422, "demo must be an object")
        self.attempt = attempt
        self.step_ms = given.get("step_ms", 0)
        self.fail_at = given.get("fail_at")
        self.fail_status = given.get("fail_status", 422)
        self.crash_at = given.get("crash_at")
        self.crash_always = given.get("crash_always", False)
        if not is_whole_number(self.step_ms, 0, MAX_STEP_MS):
            raise Refused(422, f"demo.step_ms must be a whole number from 0 to {MAX_STEP_MS}")
        if not is_whole_number(self.fail_status, 400, 599):
            raise Refused(422, "demo.fail_status must be a whole number from 400 to 599")
        if not isinstance(self.crash_always, bool):
            raise Refused(422, "demo.crash_always must be true or false")
        for knob, step in (("fail_at", self.fail_at), ("crash_at", self.crash_at)):
            if step is not None and step not in STEPS:
                raise Refused(422, f"demo.{knob} must be one of the steps: {', '.join(STEPS)}")

    def step(self, name, cancelled):
        # The acknowledgement is never slow: that it comes at once is what it is for.
        if cancelled.wait(0 if name == "accept" else self.step_ms / 1000):
            raise Cancelled
        if self.crash_at == name and (self.crash_always or self.attempt == 1):
            os._exit(70)
        if self.fail_at == name:
            message = f"step '{name}' failed, as demo.fail_at asked"
            raise Failed(message, {"step": name, "status": self.fail_status})


def find_file(name):
    """The file inside ROOT that `name` means. Links are resolved before the check, so they cannot lead outside."""
    if not isinstance(name, str) or name.strip() == "":
        raise Refused(422, "file must be a path relative to the root of the repository")
    try:
        path = (ROOT / name).resolve()
        is_inside = not Path(name).is_absolute() and path.is_relative_to(ROOT)
        # Hidden files are where secrets live (.env, .git), and the result would show them.
        if not is_inside or any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            raise Refused(400, "file must be inside the repository and not hidden")
        if not path.is_file():
            raise Refused(422, f"no such file: {name}")
        size = path.stat().st_size
    except (OSError, ValueError, RuntimeError) as error:
        raise Refused(400, "file is not a usable path") from error
    if size > MAX_TEXT_BYTES:
        raise Refused(422, f"file is larger than {MAX_TEXT_BYTES} bytes")
    return path


def check_text(text):
    if not isinstance(text, str) or text.strip() == "":
        raise Refused(422, "text must be a text that is not empty")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise Refused(422, f"text is larger than {MAX_TEXT_BYTES} bytes")
    return text


# --- The executions this process knows -------------------------------------------------------------------------------


class Execution:
    def __init__(self, execution_id, callback_url, demo, source, text, path):
        self.id = execution_id
        self.callback_url = callback_url
        self.demo = demo
        self.source = source
        self.text = text
        self.path = path
        self.cancelled = threading.Event()
        self.outcome = None
        self.is_reporting = False


executions = OrderedDict()
lock = threading.Lock()
stopping = threading.Event()


def unfinished():
    return [e for e in executions.values() if e.outcome is None and not e.cancelled.is_set()]


def admit(execution):
    """The thread to start once the call is answered, if any: an execution delivered again must not run twice."""
    with lock:
        known = executions.get(execution.id)
        if known is None:
            if stopping.is_set() or len(unfinished()) >= MAX_RUNNING:
                raise Refused(503, "busy; try again later")
            executions[execution.id] = execution
            for old in list(executions.values()):
                if len(executions) <= MAX_REMEMBERED:
                    break
                if old.cancelled.is_set() or (old.outcome is not None and not old.is_reporting):
                    del executions[old.id]
            job = run
        elif known.cancelled.is_set():
            raise Refused(409, "the execution was cancelled")
        else:
            # Whoever calls again may have moved.
            known.callback_url = execution.callback_url
            if known.outcome is None or known.is_reporting:
                return None
            known.is_reporting = True
            execution, job = known, report_outcome
    return threading.Thread(target=job, args=(execution,), daemon=True)


def cancel(execution_id, notice):
    with lock:
        known = executions.get(execution_id)
        if known is None or (known.outcome is not None and not known.is_reporting):
            return False
        known.cancelled.set()
    if notice.get("grace_ms"):
        # It is not over yet: said now, it ends at once and not with the grace.
        word = {"status": "cancelled", "error": f"stopped as asked: {notice.get('reason') or 'without a reason'}"}
        threading.Thread(target=post, args=(known.callback_url, word), daemon=True).start()
    return True


def read_object(raw):
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def run(execution):
    try:
        outcome = {"status": "succeeded", "result": analyse(execution)}
    except Cancelled:
        return
    except Failed as error:
        outcome = {"status": "failed", "error": str(error), "error_details": error.details}
    except Exception:
        traceback.print_exc()
        outcome = {"status": "failed", "error": "internal error"}
    finally:
        # Outcomes are remembered for a while; a megabyte of text with each would be too much.
        execution.text = None
    with lock:
        if execution.cancelled.is_set():
            return
        execution.outcome = outcome
        execution.is_reporting = True
    report_outcome(execution)


# --- Reporting back --------------------------------------------------------------------------------------------------


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would repeat a redirected POST as a GET, without its body."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)


def post(url, body):
    """One try: the status and the Retry-After seconds; status 0 when there was no answer."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with OPENER.open(request, timeout=CALLBACK_TIMEOUT_S) as response:
            return response.status, 0
    except urllib.error.HTTPError as error:
        with error:
            retry_after = error.headers.get("Retry-After", "")
            return error.code, int(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0
    except Exception:
        return 0, 0


def report(execution, body, patience_s):
    """Posts until somebody has taken it: a restarting orchestrator must not cost us the result."""
    give_up_at = time.monotonic() + patience_s
    pause = 1
    while not execution.cancelled.is_set():
        status, retry_after = post(execution.callback_url, body)
        if status != 0 and status != 429 and status < 500:
            if status in (404, 409):
                # It has ended over there, or is unknown: no report will change that, so working on is pointless.
                if execution.outcome is None:
                    execution.cancelled.set()
            elif status >= 300:
                print(f"{execution.id}: the callback was refused with {status}", file=sys.stderr)
            return
        pause_now = min(max(pause, retry_after), LONGEST_PAUSE_S)
        if time.monotonic() + pause_now > give_up_at:
            print(f"{execution.id}: the callback could not be delivered (last answer {status})", file=sys.stderr)
            return
        execution.cancelled.wait(pause_now)
        pause *= 2


def report_outcome(execution):
    report(execution, execution.outcome, RESULT_PATIENCE_S)
    with lock:
        execution.is_reporting = False


# --- The work --------------------------------------------------------------------------------------------------------


def analyse(execution):
    started = time.monotonic()

    def start(step, action):
        done = STEPS.index(step) - 1
        total = len(STEPS) - 1
        body = {"status": "running", "current_action": action, "progress_pct": 100 * done // total}
        if done > 0:
            seconds_left = (time.monotonic() - started) / done * (total - done)
            finish = datetime.now(timezone.utc) + timedelta(seconds=seconds_left)
            body["estimated_completion"] = finish.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        report(execution, body, PROGRESS_PATIENCE_S)
        execution.demo.step(step, execution.cancelled)

    start("read", f"Reading {execution.source}")
    text = execution.text if execution.path is None else read_text(execution.path, execution.source)

    start("split", "Splitting into sentences")
    headings, paragraphs = split_paragraphs(text)
    sentences = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph)]
    words = [word.lower() for sentence in sentences for word in WORD.findall(without_addresses(sentence))]

    start("keywords", f"Counting {len(words)} words")
    counts = Counter(word for word in words if is_meaningful(word))
    keywords = [{"word": word, "count": count} for word, count in counts.most_common(12)]

    start("entities", f"Looking for entities in {len(sentences)} sentences")
    entities = find_entities(text, sentences)

    start("summarise", "Choosing the sentences that say most")
    summary = summarise(sentences, counts)

    return {
        "source": execution.source,
        "title": headings[0] if headings else None,
        "summary": summary,
        "keywords": keywords,
        "entities": entities,
        "statistics": {
            "bytes": len(text.encode("utf-8", "surrogatepass")),
            "characters": len(text),
            "words": len(words),
            "unique_words": len(set(words)),
            "sentences": len(sentences),
            "paragraphs": len(paragraphs),
            "headings": len(headings),
            "words_per_sentence": round(len(words) / len(sentences), 1) if sentences else 0,
            "reading_minutes": round(len(words) / 220, 1),
        },
    }


def read_text(path, source):
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TEXT_BYTES + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Failed(f"{source} is not a readable UTF-8 text", {"step": "read"}) from None
    if "\0" in text or len(raw) > MAX_TEXT_BYTES:
        raise Failed(f"{source} is not a text of at most {MAX_TEXT_BYTES} bytes", {"step": "read"})
    return text


WORD = re.compile(r"[^\W\d_][\w'’]*(?:-[\w'’]+)*")
CODE_BLOCK = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}[ \t]+(.+)$")
LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+>]|\d{1,3}[.)])[ \t]+")
LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()]{0,2000}\)")
EMPHASIS = re.compile(r"\*(\w[^*]{0,80})\*")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”)\]]?\s+(?=[\"'“(\[]?[A-ZÀ-ÖØ-Þ0-9])")
ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|cf|etc|approx|Fig)|\b(?:e\.g|i\.e)|\b[A-Z])\.$")

STOP_WORDS = frozenset(
    """a about above after again against all also although am an and any are as at be because been before being below
    between both but by can cannot could did do does doing down during each either else etc even ever every few for
    from further get gets had has have having he her here hers him his how however i if in into is it its itself just
    less let like many may me might more most much must my neither no nor not now of off on once one only onto or other
    others our ours out over own per rather same shall she should since so some still such than that the their them
    then there these they this those though through thus to together too two under until up upon us use used uses using
    very was we were what when where whether which while who whom whose why will with within without would yet you your
    yours""".split()
)


def without_addresses(sentence):
    """The parts of a URL or an e-mail address are not words of the text."""
    return PATTERNS["emails"].sub(" ", PATTERNS["urls"].sub(" ", sentence))


def is_meaningful(word):
    return len(word) > 2 and word not in STOP_WORDS


def split_paragraphs(text):
    """The headings and the prose of a Markdown or plain text; code blocks and tables are neither."""
    headings, paragraphs, lines = [], [], []

    def close():
        if lines:
            paragraphs.append(" ".join(lines))
            lines.clear()

    for line in CODE_BLOCK.sub("", text).splitlines():
        heading = HEADING.match(line)
        if heading:
            close()
            headings.append(heading.group(1).strip(" #*`"))
        elif line.strip() == "" or line.lstrip().startswith("|"):
            close()
        else:
            if LIST_ITEM.match(line):
                close()
            clean = LINK.sub(r"\1", LIST_ITEM.sub("", line)).replace("**", "").replace("`", "")
            clean = EMPHASIS.sub(r"\1", clean)
            if clean.strip():
                lines.append(" ".join(clean.split()))
    close()
    return headings, paragraphs


def split_sentences(paragraph):
    sentences, start = [], 0
    for gap in SENTENCE_END.finditer(paragraph):
        # Ten characters are enough to see the abbreviation the full stop may belong to.
        if ABBREVIATION.search(paragraph[max(start, gap.start() - 10) : gap.start()]):
            continue
        sentences.append(paragraph[start : gap.end()].strip())
        start = gap.end()
    sentences.append(paragraph[start:].strip())
    return [sentence for sentence in sentences if sentence]


MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
# Every repetition is bounded and no match starts inside a word: a hostile text must not make the search quadratic.
PATTERNS = {
    "dates": rf"(?<!\w)(?:\d{{4}}-\d{{2}}-\d{{2}}(?:T\d{{2}}:\d{{2}}(?::\d{{2}})?Z?)?"
    rf"|\d{{1,2}}\.? {MONTH}\.? \d{{4}}|{MONTH}\.? \d{{1,2}}, \d{{4}}|{MONTH} \d{{4}})(?!\w)",
    "quantities": r"(?<![\w.,])(?:[$€£] ?\d[\d.,]{0,20}\d|[$€£] ?\d|\d(?:[\d.,]{0,20}\d)? ?(?:%|(?:[kMGT]i?B|bytes?|ms|s"
    r"|min|h|milliseconds?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|mm|cm|m|km|g|kg|Hz|kHz|MHz|GHz|percent"
    r"|USD|EUR|GBP|dollars|euros|people|users|requests|times)(?!\w)))",
    "emails": r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
    "urls": r"(?<!\w)https?://[^\s<>\"'`\])}]{1,500}",
    "files": r"(?<![\w/.@:-])(?:[\w.-]{1,100}/){0,12}[\w.-]{0,100}\w\.(?:md|txt|ts|tsx|js|mjs|json|py|sh|ya?ml|toml|html"
    r"|css|csv|sql|go|rs|pdf|docx?|xlsx?|png|jpe?g|svg|env|lock|log|xml|ini|conf)(?![\w-])",
}
PATTERNS = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}
CAPITALISED = r"[A-ZÀ-ÖØ-Þ][\w'’-]{0,40}"
NAME = re.compile(rf"(?<!\w){CAPITALISED}(?: (?:(?:of|and|for|the|de|van|von) )?{CAPITALISED}){{0,5}}")


def find_entities(text, sentences):
    entities = {"names": find_names(sentences)}
    for kind, pattern in PATTERNS.items():
        counts = Counter(match.group().rstrip(".,;:!?") for match in pattern.finditer(text))
        entities[kind] = top(counts)
    return entities


def find_names(sentences):
    counts, at_start = Counter(), Counter()
    for sentence in sentences:
        for match in NAME.finditer(sentence):
            words = match.group().split(" ")
            is_start = match.start() <= 1
            while words and words[0].lower() in STOP_WORDS:
                words.pop(0)
                is_start = False
            name = re.sub("['’]s$", "", " ".join(words))
            if len(name) < 2:
                continue
            # Any word has a capital at the start of a sentence; alone there it proves nothing.
            is_proof = not is_start or len(words) > 1 or sum(letter.isupper() for letter in name) > 1
            (counts if is_proof else at_start)[name] += 1
    for name in counts:
        counts[name] += at_start[name]
    return top(counts)


def top(counts):
    return [{"text": text, "count": count} for text, count in counts.most_common(MAX_PER_KIND)]


def summarise(sentences, counts, size=5):
    """The sentences whose words the text uses most, in the order of the text."""
    if not counts:
        return [sentence[:600] for sentence in sentences[:size]]
    most = max(counts.values())
    scored = []
    for position, sentence in enumerate(sentences):
        words = {word.lower() for word in WORD.findall(sentence)}
        weights = [math.log1p(counts[word]) / math.log1p(most) for word in words if is_meaningful(word)]
        # Short sentences are often labels and long ones lists; the first sentences often say what the text is about.
        if not 6 <= len(words) <= 60 or not weights:
            continue
        lead = 1.15 if position < 3 else 1.0
        scored.append((lead * sum(weights) / len(weights) ** 0.7, position))
    chosen, seen = [], set()
    for _, position in sorted(scored, key=lambda item: (-item[0], item[1])):
        if sentences[position] not in seen:
            seen.add(sentences[position])
            chosen.append(position)
        if len(chosen) == size:
            break
    return [sentences[position][:600] for position in sorted(chosen)] or [s[:600] for s in sentences[:size]]


# --- HTTP ------------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Head and body are written apart, and Nagle's algorithm would hold the second back.
    disable_nagle_algorithm = True

    def do_GET(self):
        self.respond(lambda _: self.health() if self.path == "/health" else self.unknown())

    def do_POST(self):
        self.respond(self.post)

    def health(self):
        with lock:
            return 200, {"status": "ok", "node": NODE, "running": len(unfinished())}

    def unknown(self):
        raise Refused(404, f"no such path: {self.command} {self.path}")

    def post(self, raw):
        parts = urllib.parse.urlsplit(self.path).path.split("/")[1:]
        if parts == ["reasoners", "analyze"]:
            return 202, self.analyze(raw)
        if len(parts) == 4 and parts[:2] == ["_internal", "executions"] and parts[3] == "cancel":
            return 200, {"cancelled": cancel(urllib.parse.unquote(parts[2]), read_object(raw))}
        return self.unknown()

    def analyze(self, raw):
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        if not isinstance(body, dict):
            raise Refused(400, "the body must be a JSON object: the input itself")
        execution_id = (self.headers.get("X-Execution-ID") or "").strip()
        callback_url = (self.headers.get("Perdure-Callback-URL") or "").strip()
        # Without these two there is nobody to report to. urllib would open file: URLs too.
        if not execution_id:
            raise Refused(400, "the X-Execution-ID header is missing")
        if urllib.parse.urlsplit(callback_url).scheme not in ("http", "https"):
            raise Refused(400, "the Perdure-Callback-URL header must be an http or https URL")
        if ("text" in body) == ("file" in body):
            raise Refused(422, "the input needs either text or file")
        path = find_file(body["file"]) if "file" in body else None
        text = check_text(body["text"]) if "text" in body else None
        source = body["file"] if path else "text"

        attempt_header = self.headers.get("Perdure-Attempt", "1").strip()
        attempt = int(attempt_header) if attempt_header.isascii() and attempt_header.isdigit() else 1
        demo = Demo(body.get("demo", {}), attempt)
        execution = Execution(execution_id, callback_url, demo, source, text, path)
        if execution_id not in executions:
            try:
                demo.step("accept", stopping)
            except Failed as error:
                raise Refused(demo.fail_status, str(error)) from None
            except Cancelled:
                raise Refused(503, "stopping") from None
        self.work = admit(execution)
        return {"status": "processing", "execution_id": execution_id}

    def respond(self, handle):
        self.work = None
        try:
            status, body = handle(self.read_body())
        except Refused as error:
            status, body = error.status, {"error": str(error)}
        except Exception:
            traceback.print_exc()
            status, body = 500, {"error": "internal error"}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status in (429, 503):
            self.send_header("Retry-After", "2")
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:
            self.close_connection = True
        finally:
            # Only now: work that kills the process must not take the acknowledgement with it.
            if self.work:
                self.work.start()

    def read_body(self):
        length = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            # Where the next request would begin is unknown now.
            self.close_connection = True
            raise Refused(411, "a Content-Length is needed")
        left = int(length)
        if left > MAX_BODY_BYTES:
            # A client that is still sending would not see the 413.
            self.close_connection = True
            left = min(left, MAX_DROPPED_BYTES)
            while left > 0 and (chunk := self.rfile.read(min(left, 65_536))):
                left -= len(chunk)
            raise Refused(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        return self.rfile.read(left)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self):
        # HTTPServer would look up this machine's name, which can hang where there is no name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def main():
    if "--help" in sys.argv:
        print(HELP)
        return
    given = os.environ.get("PORT") or "0"
    if not (given.isascii() and given.isdigit()) or int(given) > 65_535:
        exit_with(f"PORT must be a whole number from 0 to 65535, not '{given}'")
    host = os.environ.get("HOST") or "127.0.0.1"
    Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = Server((host, int(given)), Handler)
    except OSError as error:
        exit_with(f"cannot listen on {host}:{given}: {error.strerror or error}")
    shown = f"[{host}]" if ":" in host else host
    print(f"listening on http://{shown}:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    shut_down(server)


def shut_down(server):
    """Lets running work finish for a while; what is left is reported as failed rather than left unexplained."""
    stopping.set()
    server.shutdown()
    give_up_at = time.monotonic() + SHUTDOWN_GRACE_S
    while time.monotonic() < give_up_at:
        with lock:
            if not unfinished() and not any(e.is_reporting for e in executions.values()):
                return
        time.sleep(0.05)
    with lock:
        interrupted = unfinished()
        for execution in interrupted:
            execution.cancelled.set()
    outcome = {"status": "failed", "error": "the agent was stopped before it had finished"}
    threads = [threading.Thread(target=post, args=(e.callback_url, outcome), daemon=True) for e in interrupted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CALLBACK_TIMEOUT_S)


def exit_with(message):
    print(message, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
