#!/usr/bin/env bash
# Starts the Temporal dev server that Perdure stands on, and gets the Temporal CLI first where there is none.
# Written for bash 3.2, which is what macOS has.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

say() { printf 'temporal-dev: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}
refuse() {
  say "$* (see --help)"
  exit 2
}

# shellcheck source=temporal-cli/find-cli.sh
. "$ROOT/temporal-cli/find-cli.sh"

SEARCH_ATTRIBUTES='PerdureTarget PerdureRunId PerdureParentExecutionId PerdureOutcome'
RETENTION_HOURS=720

PORT=7233
UI_PORT=8233
METRICS_PORT=''
HEADLESS=''
DB="${PERDURE_DATA_DIR:-$ROOT/.perdure}/temporal.db"
IN_MEMORY=''
NAMESPACE="${TEMPORAL_NAMESPACE:-default}"
LOG_LEVEL=warn
ONLY_CLI_PATH=''

usage() {
  cat <<EOF
Usage: ./temporal-dev.sh [options]

Starts a Temporal dev server on 127.0.0.1, in the foreground; Ctrl-C ends it. What it holds survives restarts and
kill -9.

  --port N          port of the server (default $PORT)
  --ui-port N       port of the Web UI (default $UI_PORT)
  --headless        no Web UI
  --metrics-port N  port of the server's Prometheus metrics, /metrics (default: a free one)
  --db FILE         database file (default $DB)
  --in-memory       no database file: everything is forgotten at the end
  --namespace NAME  namespace (default TEMPORAL_NAMESPACE, else "default")
  --log-level L     debug, info, warn, error or never (default $LOG_LEVEL)
  --cli-path        only make sure that the Temporal CLI is there, and print its path
  --help            this text

The CLI is the first of: TEMPORAL_CLI_PATH; temporal on PATH, if it brings Temporal Server $MIN_SERVER or newer; the one
in the cache (XDG_CACHE_HOME or ~/.cache, perdure/temporal-$CLI_VERSION); the official release, downloaded and checked
against its sha256; a build from source with Go (5 to 10 minutes, once).
EOF
}

read_options() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --port | --ui-port | --metrics-port | --db | --namespace | --log-level) [ -n "${2:-}" ] || refuse "$1 needs a value" ;;
    esac
    case "$1" in
      --port) PORT="$(port_of "$1" "$2")" || exit ;;
      --ui-port) UI_PORT="$(port_of "$1" "$2")" || exit ;;
      --metrics-port) METRICS_PORT="$(port_of "$1" "$2")" || exit ;;
      --db) DB="$2" ;;
      --namespace) NAMESPACE="$2" ;;
      --log-level) LOG_LEVEL="$2" ;;
      --headless) HEADLESS=1 ;;
      --in-memory) IN_MEMORY=1 ;;
      --cli-path) ONLY_CLI_PATH=1 ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) refuse "unknown option $1" ;;
    esac
    case "$1" in
      --port | --ui-port | --metrics-port | --db | --namespace | --log-level) shift ;;
    esac
    shift
  done
  case "$LOG_LEVEL" in
    debug | info | warn | error | never) ;;
    *) refuse "--log-level must be debug, info, warn, error or never" ;;
  esac
}

port_of() {
  case "$2" in
    *[!0-9]* | ??????*) refuse "$1 must be a port number" ;;
  esac
  if [ "$2" -lt 1 ] || [ "$2" -gt 65535 ]; then refuse "$1 must be a port number"; fi
  printf '%s\n' "$((10#$2))"
}

check_port() {
  # Something that accepts connections is in the way, whatever address it is bound to.
  if (: <>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
    die "port $2 is in use: choose another one with $1"
  fi
}

# Two servers on one database would fight over its only shard. The pid alone proves nothing: it may have been reused.
check_database() {
  local pid=''
  [ ! -f "$DB.pid" ] || pid="$(cat "$DB.pid")"
  if [ -n "$pid" ] && [ "$pid" != "$$" ] && ps -ww -p "$pid" -o args= 2>/dev/null | grep -qF -- "--db-filename $DB"; then
    die "database $DB is in use by process $pid"
  fi
}

cli() { "$CLI" "$@" --address "127.0.0.1:$PORT" --command-timeout 10s --disable-config-env --disable-config-file; }

# The flags that name search attributes count only when the server makes the namespace, and no flag sets the retention:
# both are set on the running server. Every step may be repeated. Ends when the server does, or after a minute.
prepare_namespace() {
  local server="$1" names='' query='' name retention=''
  local deadline=$((SECONDS + 60))

  await "$server" "$deadline" cli operator cluster health || return 0

  # The CLI takes as many attributes as it is given types.
  for name in $SEARCH_ATTRIBUTES; do
    names="$names --name $name --type Keyword"
    query="${query:+$query AND }$name = 'x'"
  done
  if ! cli workflow count --namespace "$NAMESPACE" --query "$query" >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # a list of words
    cli operator search-attribute create --namespace "$NAMESPACE" $names >/dev/null 2>&1 ||
      say "the search attributes could not be registered; see: temporal operator search-attribute list"
    # New ones take a second or two to be known everywhere in the server.
    await "$server" "$deadline" cli workflow count --namespace "$NAMESPACE" --query "$query" || return 0
  fi

  # Only ever longer: who has set more than this wants to keep it.
  retention="$(cli operator namespace describe --namespace "$NAMESPACE" --output json 2>/dev/null |
    sed -n 's/.*"workflowExecutionRetentionTtl": *"\([0-9]*\).*/\1/p')" || true
  if [ -n "$retention" ] && [ "$retention" -lt $((RETENTION_HOURS * 3600)) ]; then
    cli operator namespace update --namespace "$NAMESPACE" --retention "${RETENTION_HOURS}h" >/dev/null 2>&1 ||
      say "the retention could not be set to $RETENTION_HOURS hours"
  fi

  if [ -n "$HEADLESS" ]; then
    say "ready on 127.0.0.1:$PORT"
  else
    say "ready on 127.0.0.1:$PORT, Web UI http://127.0.0.1:$UI_PORT"
  fi
}

await() {
  local server="$1" deadline="$2"
  shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "$server" 2>/dev/null || return 1
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "the server on 127.0.0.1:$PORT is not ready after a minute"
      return 1
    fi
    sleep 0.2
  done
}

start_server() {
  local args name
  args=(server start-dev --ip 127.0.0.1 --port "$PORT" --namespace "$NAMESPACE" --log-level "$LOG_LEVEL")

  if [ -n "$HEADLESS" ]; then
    args+=(--headless)
  else
    args+=(--ui-ip 127.0.0.1 --ui-port "$UI_PORT")
  fi

  [ -z "$METRICS_PORT" ] || args+=(--metrics-port "$METRICS_PORT")

  if [ -z "$IN_MEMORY" ]; then
    # synchronous=full keeps the promise behind every 202: what was accepted survives a power cut, not just kill -9.
    # normal saves about 2 ms of a start (4 instead of 6) and gives that promise up.
    args+=(--db-filename "$DB" --sqlite-pragma journal_mode=wal --sqlite-pragma synchronous=full)
  fi

  for name in $SEARCH_ATTRIBUTES; do
    args+=(--search-attribute "$name=Keyword")
  done

  # Latency: by default each of the server's queues is looked at 20 times a second, up to 50 ms for every hop.
  args+=(--dynamic-config-value history.transferProcessorMaxPollRPS=5000)
  args+=(--dynamic-config-value history.timerProcessorMaxPollRPS=5000)
  args+=(--dynamic-config-value system.enableActivityEagerExecution=true)
  # About 20 % of the server's CPU; prepare_namespace waits where that makes new attributes late.
  args+=(--dynamic-config-value system.forceSearchAttributesCacheRefreshOnRead=false)
  # From the fourth attempt at a workflow task on, Temporal gives each more time, up to 10 minutes more: so long would an
  # execution stand still whose worker dies once again. A task that fails is tried again every few seconds instead.
  args+=(--dynamic-config-value 'history.workflowTaskRetryMaxInterval="5s"')
  # One node: more partitions only add hops, and blur priority and fairness.
  args+=(--dynamic-config-value matching.numTaskqueueReadPartitions=1)
  args+=(--dynamic-config-value matching.numTaskqueueWritePartitions=1)
  # Every open execution that somebody watches is a long poll, and the default allows 1200.
  args+=(--dynamic-config-value frontend.namespaceCount=10000)
  # Overload is refused by the API, which can say why; these limits only have to be out of its way.
  args+=(--dynamic-config-value frontend.rps=50000)
  args+=(--dynamic-config-value frontend.namespaceRPS=50000)
  args+=(--dynamic-config-value frontend.namespaceRPS.visibility=500)

  # Twice forked, so that it is nobody's child once exec has made this process the server, which waits for no child.
  (prepare_namespace "$$" </dev/null >/dev/null &)

  # exec: signals, kill -9 and the pid that a supervisor knows are the server's own.
  GOGC="${GOGC:-400}" exec "$CLI" "${args[@]}"
}

read_options "$@"
if [ -n "$ONLY_CLI_PATH" ]; then
  find_cli
  printf '%s\n' "$CLI"
  exit 0
fi

if [ -z "$HEADLESS" ] && [ "$PORT" = "$UI_PORT" ]; then refuse "--port and --ui-port must differ"; fi
check_port --port "$PORT"
[ -n "$HEADLESS" ] || check_port --ui-port "$UI_PORT"
if [ -z "$IN_MEMORY" ]; then
  DB="$(absolute "$DB")"
  # Histories hold whatever clients send: for the owner only.
  umask 077
  mkdir -p "$(dirname "$DB")" || die "cannot create the folder of $DB"
  check_database
fi
find_cli
[ -n "$IN_MEMORY" ] || printf '%s\n' "$$" >"$DB.pid"
start_server
