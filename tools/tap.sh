# Test Anything Protocol for the checks of the tree, which source this: judge NAME LINES... is one check, failed when there are
# lines, which say what is wrong.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 1
count=0 failures=0
judge() {
        judged=$1 lines=$2
        count=$((count + 1))
        if [ -z "$lines" ]; then
                echo "ok $count - $judged"
        else
                failures=$((failures + 1))
                echo "not ok $count - $judged"
                echo "$lines" | sed 's/^/# /'
        fi
}
finish() {
        echo "1..$count"
        [ "$failures" -eq 0 ]
}
sources() { find common controld agentd cli tests tools \( -name '*.c' -o -name '*.h' \) -not -path '*/lab/*' | LC_ALL=C sort; }
