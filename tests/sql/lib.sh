# For tests that need several sessions at once; read by *.sh, which run(1) of this directory starts.
# A test makes sessions run files of SQL side by side, and then asks one question about what is left.

number=0

sql() { # one session, one or more statements, plain answer
        psql -X -q -A -t -v ON_ERROR_STOP=1 -c "SET search_path = tap, public" "${@/#/-c}"
}

is() { # have want name
        number=$((number + 1))
        if [ "$1" = "$2" ]; then
                echo "ok $number - $3"
        else
                printf 'not ok %d - %s\n#         have: %s\n#         want: %s\n' "$number" "$3" "$1" "$2"
        fi
}

# Runs the SQL of each argument in a session of its own, all let go at one moment: each first takes a
# lock in share mode that this shell holds back. Answers their exit statuses; output goes to $WORK/race.N.
race() {
        local n=0 statement status='' gate pids=()

        rm -f "$WORK"/race.*
        mkfifo "$WORK/race.gate"
        psql -X -q -A -t <"$WORK/race.gate" >/dev/null &
        gate=$!
        exec 9>"$WORK/race.gate"
        echo "SELECT pg_advisory_lock(42);" >&9
        until [ "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted")" = 1 ]; do :; done

        for statement in "$@"; do
                n=$((n + 1))
                printf '%s\n' "SET search_path = tap, public;" \
                        "SELECT pg_advisory_lock_shared(42) \\g /dev/null" \
                        "SELECT pg_advisory_unlock_shared(42) \\g /dev/null" "$statement" |
                        psql -X -q -A -t -v ON_ERROR_STOP=1 >"$WORK/race.$n" 2>&1 9>&- &
                pids+=($!)
        done
        until [ "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted")" = $# ]; do :; done
        exec 9>&-
        wait "$gate"

        for statement in "${pids[@]}"; do
                wait "$statement"
                status="$status$?"
        done
        is "${status//0/}" "" "$# sessions end well$(cat "$WORK"/race.[0-9]* | grep -m1 ERROR | sed 's/^/: /')"
        [ -z "${status//0/}" ] || grep -A20 -h ERROR "$WORK"/race.[0-9]* | cut -c1-500 | sed 's/^/# /'
}

# Runs first in a transaction, then second in another session, which has to wait for a lock of the first;
# only then does the first go on, if there is more of it, and commit. The order is certain, and so is what must come of it.
behind() { # first second [more]
        rm -f "$WORK"/race.*
        mkfifo "$WORK/race.gate"
        psql -X -q -A -t -v ON_ERROR_STOP=1 <"$WORK/race.gate" >"$WORK/race.1" 2>&1 &
        local first=$! second status= waits=no
        exec 9>"$WORK/race.gate"
        printf '%s\n' "BEGIN;" "$1" "SELECT pg_advisory_xact_lock(43) \\g /dev/null" >&9
        until [ "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 43 AND granted")" = 1 ]; do
                kill -0 "$first" 2>/dev/null || break
        done

        psql -X -q -A -t -v ON_ERROR_STOP=1 -c "SET application_name = second" -c "$2" >"$WORK/race.2" 2>&1 9>&- &
        second=$!
        while kill -0 "$second" 2>/dev/null; do
                [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock'")" = 1 ] &&
                        waits=yes && break
        done
        printf '%s\n' "${3-}" "COMMIT;" >&9
        exec 9>&-
        wait "$first"
        status=$?
        wait "$second"
        is "$waits $status $?" "yes 0 0" "the second waits for the first, and both end well$(
                cat "$WORK"/race.[12] | grep -m1 ERROR | sed 's/^/: /')"
}

# Runs first in a transaction, then second in another session to its end, which must not wait; only then does the first commit.
# Afterwards api.dispatch() runs as in a worker, if a commit has asked for it: $WORK/race.told has who is told of work.
beside() { # first second
        rm -f "$WORK"/race.*
        SECOND=$2 PGOPTIONS="$PGOPTIONS -c lock_timeout=10s" sql "LISTEN sluice" "BEGIN" "$1" \
                '\! psql -X -q -A -t -v ON_ERROR_STOP=1 -c "LISTEN sluice; $SECOND" >"$WORK/race.2" 2>&1; echo "second: $?"' \
                "COMMIT" "SELECT 1" >"$WORK/race.1" 2>&1
        is "$? $(grep -c '^second: 0' "$WORK/race.1")" "0 1" "both end well, and none waits for the other$(
                cat "$WORK"/race.[12] | grep -m1 ERROR | sed 's/^/: /')"
        if grep -q 'payload "dispatch"' "$WORK"/race.[12]; then
                while sql "LISTEN sluice" "SELECT api.dispatch()" "SELECT 1" >"$WORK/race.3"; [ "$(head -n 1 "$WORK/race.3")" = t ]; do
                        cat "$WORK/race.3" >>"$WORK/race.told"
                done
        fi
        cat "$WORK"/race.[12] >>"$WORK/race.told"
}

repeat() { # count template: the template that often, each line with its number for @
        local i

        for ((i = 1; i <= $1; i++)); do
                echo "${2//@/$i}"
        done
}

done_testing() { echo "1..$number"; }
