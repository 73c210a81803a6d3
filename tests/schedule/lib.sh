# A PostgreSQL and controlds of a test's own, for the scripts of this directory, which set $here; see ../sql/cluster.sh. Stop what was
# started with stop, or leave it to the end.

build=$(cd "${top_builddir:-.}" && pwd)
. "$here/../sql/cluster.sh"
[ -x "$build/controld/controld" ] || skip_all "no controld in $build"

number=0
is() { # have want name
        number=$((number + 1))
        if [ "$1" = "$2" ]; then
                echo "ok $number - $3"
        else
                printf 'not ok %d - %s\n#         have: %s\n#         want: %s\n' "$number" "$3" "$1" "$2"
        fi
}
ask() { psql_ -U sluice_owner -d blank -c "$1"; }
complaints() { tail -n 3 "$work"/*.log 2>&1; }

declare -A pids=() ports=([one]=8443 [two]=8444)
address=127.$(($$ / 65536 % 200 + 2)).$(($$ / 256 % 256)).$(($$ % 254 + 1)) # nobody else's

# A controld is a group of processes, which no worker outlives when it is killed.
start() { # name
        [ -d "$work/$1" ] || "${as_server[@]}" mkdir -p "$work/$1/run"
        setsid "${as_server[@]}" "$build/controld/controld" serve --config=/dev/null --listen="$address:${ports[$1]}" --insecure-http=yes \
                --workers=2 --log-level="${level:-err}" --state-directory="$work/$1" --runtime-directory="$work/$1/run" \
                --sql-directory="$SLUICE_SQL" --database="host=$work user=sluice_owner dbname=blank" </dev/null >>"$work/$1.log" 2>&1 &
        pids[$1]=$!
        disown
}
stop() { # name signal
        kill "-$2" -- "-${pids[$1]}" 2>/dev/null
        while kill -0 -- "-${pids[$1]}" 2>/dev/null; do :; done
}
trap 'for name in "${!pids[@]}"; do kill -KILL -- "-${pids[$name]}" 2>/dev/null; done; cleanup' EXIT

# Until the command succeeds.
until_() { # what command...
        local end=$((SECONDS + 30))

        until "${@:2}"; do
                [ $SECONDS -lt $end ] || bail "$1 for half a minute: $(complaints)"
        done
}
