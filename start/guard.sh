# shellcheck shell=sh
# Ends what the supervisor started when the supervisor itself was killed with SIGKILL and could not.
#
# Each line on standard input replaces the list of process groups: "first|last", ids separated by spaces. The end of
# the input is the supervisor's death (it sends an empty list before it leaves in order).
# dash takes a process group only as "kill -s TERM -- -ID" and "kill -0 -ID".
trap '' INT TERM HUP

list=''
while IFS= read -r line; do list=$line; done

# stop IDS SECONDS: asks, waits, insists.
stop() {
  left=$2
  for id in $1; do kill -s TERM -- "-$id"; done
  while [ "$left" -gt 0 ] && alive "$1"; do
    sleep 1
    left=$((left - 1))
  done
  for id in $1; do kill -s KILL -- "-$id"; done
}

alive() {
  for id in $1; do kill -0 "-$id" && return 0; done
  return 1
}

exec 2>/dev/null
stop "${list%%|*}" 15
stop "${list#*|}" 15
