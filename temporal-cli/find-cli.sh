# shellcheck shell=bash
# Finds, downloads or builds the Temporal CLI. Sourced by temporal-dev.sh, which provides ROOT, say and die;
# find_cli leaves the path in CLI. Sourced rather than run, so that one trap cleans up after either of them.

CLI_VERSION=1.8.2 # the same as in go.mod
MIN_SERVER=1.31   # older servers lack settings that temporal-dev.sh passes
CLI_PACKAGE=github.com/temporalio/cli/cmd/temporal
LOCK_PATIENCE=1800 # seconds; a build takes minutes, so a lock this old belongs to a process with a reused pid

CLI=''
CACHE=''
WORK=''
LOCK=''
CHILD=''

find_cli() {
  if [ -n "${TEMPORAL_CLI_PATH:-}" ]; then
    # Someone who names a binary must never get another one without noticing.
    if [ ! -f "$TEMPORAL_CLI_PATH" ] || [ ! -x "$TEMPORAL_CLI_PATH" ]; then
      die "TEMPORAL_CLI_PATH=$TEMPORAL_CLI_PATH is not an executable file"
    fi
    CLI="$(absolute "$TEMPORAL_CLI_PATH")"
    return
  fi
  find_on_path && return
  set_cache
  if [ -f "$CACHE/temporal" ]; then
    if is_new_enough "$CACHE/temporal"; then
      CLI="$CACHE/temporal"
      return
    fi
    say "$CACHE/temporal does not run on this machine; getting it again"
  fi
  fetch_cli
}

find_on_path() {
  local found version
  found="$(type -P temporal || true)"
  [ -n "$found" ] || return 1
  found="$(absolute "$found")"
  if is_new_enough "$found"; then
    CLI="$found"
    return
  fi
  version="$(server_version "$found")"
  say "skipping $found: it brings Temporal Server ${version:-of unknown version}, and $MIN_SERVER or newer is needed"
  return 1
}

server_version() {
  "$1" --version 2>/dev/null </dev/null | sed -n 's/.*Server \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' || true
}

is_new_enough() {
  local version
  version="$(server_version "$1")"
  [ -n "$version" ] || return 1
  if [ "${version%%.*}" -ne "${MIN_SERVER%%.*}" ]; then
    [ "${version%%.*}" -gt "${MIN_SERVER%%.*}" ]
  else
    [ "${version#*.}" -ge "${MIN_SERVER#*.}" ]
  fi
}

absolute() {
  case "$1" in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
  esac
}

set_cache() {
  local base="${XDG_CACHE_HOME:-}"
  [ -n "$base" ] || base="${HOME:-$ROOT/.perdure}/.cache"
  CACHE="$base/perdure/temporal-$CLI_VERSION"
}

fetch_cli() {
  mkdir -p "$CACHE" 2>/dev/null ||
    die "cannot create $CACHE: set XDG_CACHE_HOME to a folder that can be written, or TEMPORAL_CLI_PATH"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  take_lock
  # Whoever held the lock may have put it there meanwhile.
  if ! is_new_enough "$CACHE/temporal"; then
    rm -rf "$CACHE"/tmp.* # left by a process that was killed: nobody else works here while we hold the lock
    WORK="$CACHE/tmp.$$"
    mkdir "$WORK"
    download_cli || build_cli || die "no Temporal CLI: install Go $(needed_go) or newer and run this again," \
      "or set TEMPORAL_CLI_PATH to a temporal binary, version $CLI_VERSION"
    # A rename: another process sees the whole file or none.
    mv -f "$WORK/temporal" "$CACHE/temporal"
  fi
  clean_up
  trap - EXIT INT TERM HUP
  CLI="$CACHE/temporal"
}

clean_up() {
  if [ -n "$CHILD" ]; then kill "$CHILD" 2>/dev/null || true; fi
  if [ -n "$WORK" ]; then rm -rf "$WORK"; fi
  if [ -n "$LOCK" ] && [ "$(readlink "$LOCK" || true)" = "$$" ]; then rm -f "$LOCK"; fi
  CHILD='' WORK='' LOCK=''
}

# The lock is a symbolic link to the holder's pid: made in one step, pid included, on Linux and macOS alike. Two
# processes that clear the same dead lock in the same instant may both go on; that costs a second build, not safety.
take_lock() {
  local lock="$CACHE/lock" holder started=$SECONDS said=-15 tries=0
  until ln -sn "$$" "$lock" 2>/dev/null; do
    holder="$(readlink "$lock" || true)"
    if [ -z "$holder" ]; then
      tries=$((tries + 1))
      [ "$tries" -lt 50 ] || die "cannot create $lock: set XDG_CACHE_HOME to a folder that can be written"
    elif ! kill -0 "$holder" 2>/dev/null || [ $((SECONDS - started)) -ge "$LOCK_PATIENCE" ]; then
      say "taking over from process $holder, which is gone"
      rm -f "$lock"
      continue
    elif [ $((SECONDS - started - said)) -ge 15 ]; then
      say "waiting for process $holder, which is getting the Temporal CLI ($((SECONDS - started)) s so far)"
      said=$((SECONDS - started))
    fi
    sleep 0.5
  done
  LOCK="$lock"
}

download_cli() {
  local os arch archive sum
  os="$(uname -s | tr '[:upper:]' '[:lower:]')"
  arch="$(uname -m)"
  case "$arch" in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
  esac
  case "${os}_$arch" in
    linux_amd64) sum=d8421bda989e6514b4bdb4d63a9012a8a05a806892e881a5aad8510496349a94 ;;
    linux_arm64) sum=83600a8fac6e3da54093e5da6918d399f501532b9f1172235603f9606f4ac6e4 ;;
    darwin_amd64) sum=489d7f5420cae02b559774ac23df035141954c33a51dba96f5759a0ddccdf1b6 ;;
    darwin_arm64) sum=dacdc3587682c04cf27e67c8878ca2d755230b6ad63c0c6ebddd7348ae90ed94 ;;
    *)
      say "no release to download for ${os}_$arch"
      return 1
      ;;
  esac
  if ! type -P curl >/dev/null; then
    say "no curl to download the Temporal CLI with"
    return 1
  fi
  archive="temporal_cli_${CLI_VERSION}_${os}_$arch.tar.gz"
  say "downloading the Temporal CLI $CLI_VERSION"
  # Short limits: a machine without internet should get to the next way quickly.
  if ! run_in_background "still downloading" "$WORK/curl.log" \
    curl -fsSL --connect-timeout 5 --speed-limit 10000 --speed-time 20 -o "$WORK/$archive" \
    "https://github.com/temporalio/cli/releases/download/v$CLI_VERSION/$archive"; then
    say "no download: $(tail -n 1 "$WORK/curl.log")"
    return 1
  fi
  if [ "$(sha256_of "$WORK/$archive")" != "$sum" ]; then
    say "CHECKSUM MISMATCH: $archive is not the file that was released (sha256 $(sha256_of "$WORK/$archive"), expected $sum); not using it"
    return 1
  fi
  tar -xzf "$WORK/$archive" -C "$WORK" temporal >&2 || return 1
  is_new_enough "$WORK/temporal" && return
  say "the downloaded CLI does not run on this machine"
  return 1
}

sha256_of() {
  if type -P sha256sum >/dev/null; then
    sha256sum "$1" | cut -d ' ' -f 1
  else
    shasum -a 256 "$1" | cut -d ' ' -f 1
  fi
}

build_cli() {
  if ! type -P go >/dev/null; then
    say "no Go to build the Temporal CLI with"
    return 1
  fi
  say "building the Temporal CLI $CLI_VERSION from source; this takes 5 to 10 minutes, once"
  if ! run_in_background "still building" "$WORK/build.log" go_build; then
    say "the build failed:"
    tail -n 5 "$WORK/build.log" >&2
    return 1
  fi
  is_new_enough "$WORK/temporal" && return
  say "the CLI that was built does not run"
  return 1
}

# exec, so that CHILD is go itself. CGO off: nothing in the CLI needs C, and a half-installed compiler would break the
# build. GOWORK off: a go.work above this folder does not know this module.
go_build() {
  cd "$ROOT/temporal-cli" || return
  CGO_ENABLED=0 GOWORK=off exec go build -mod=readonly -trimpath -ldflags='-s -w' -o "$WORK/temporal" "$CLI_PACKAGE"
}

needed_go() {
  sed -n 's/^go //p' "$ROOT/temporal-cli/go.mod"
}

# Waits in this shell rather than in the command, so that a signal is acted upon at once.
run_in_background() {
  local label="$1" log="$2" started=$SECONDS said=0 status=0
  shift 2
  "$@" </dev/null >"$log" 2>&1 &
  CHILD=$!
  while kill -0 "$CHILD" 2>/dev/null; do
    sleep 0.5
    if [ $((SECONDS - started - said)) -ge 15 ]; then
      said=$((SECONDS - started))
      say "$label ($said s so far)"
    fi
  done
  wait "$CHILD" || status=$?
  CHILD=''
  return "$status"
}
