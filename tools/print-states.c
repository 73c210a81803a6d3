/* Prints the tables of common/state.c: as lines "kind from to", which a test compares with the database's, or as docs/states.md. */
#include <stdio.h>
#include <stdlib.h>

#include "state.h"
#include "cleanup.h"
#include "str.h"

#define DEPTH_MAX 8U
#define WHEN_COLUMN 40

static const char head[] = "# States\n"
                           "\n"
                           "Made by `make update-docs` from `common/state.c`; `make check` looks "
                           "whether it is current.\n"
                           "\n"
                           "The tables are the same in C and in SQL (`sluice.state_moves()` in "
                           "`sql/api/state.sql`), and the database refuses every other move\n"
                           "of a run, a task or an attempt. What is marked final has no way out. "
                           "What is marked `(above)` goes on as it does there.\n";

static const char *const titles[_KIND_MAX] = {
        [KIND_RUN] = "Runs",
        [KIND_TASK] = "Tasks",
        [KIND_ATTEMPT] = "Attempts",
        [KIND_INSTANCE] = "Instances",
};

static const char tail[] =
        "\n"
        "The status of an instance is derived from its presence and its goodbye "
        "(`sluice.instance_status()`), and never stored. That of an\n"
        "agent is the best of its instances'.\n"
        "\n"
        "## On the host\n"
        "\n"
        "agentd has states of its own for an attempt (`agentd/attempt.c`), since it knows what PID "
        "1 says and not yet what the control plane\n"
        "made of it. `sync` carries the word in the second column.\n"
        "\n"
        "| agentd | says | what it is | the control plane has, before it heard and after |\n"
        "|---|---|---|---|\n"
        "| reading | `starting` | a unit that was found at the start: PID 1 is being asked about "
        "it. No `sync` until then | any |\n"
        "| starting | `starting` | PID 1 is asked to start it | assigned; stopping when a stop was "
        "asked for |\n"
        "| running | `running` | its process is there | assigned, then running |\n"
        "| stopping | `stopping` | PID 1 is asked to stop it | stopping; ended when it was given "
        "up |\n"
        "| ended | `ended` | its process has ended; outcome and log are owed | running or "
        "stopping, then ended |\n"
        "| refused | `ended` | it never began | assigned or stopping, then queued again or ended "
        "|\n";

static void print_moves(const StateTable *t) {
        (void) printf("%s new %s\n", t->kind, t->words[0]);
        for (size_t i = 0; i < t->n_moves; i++)
                (void) printf("%s %s %s\n", t->kind, t->words[t->moves[i].from],
                              t->words[t->moves[i].to]);
}

static bool has_moves_after(const StateTable *t, size_t i) {
        for (size_t k = i + 1; k < t->n_moves; k++)
                if (t->moves[k].from == t->moves[i].from)
                        return true;
        return false;
}

/* The moves from a state, and from there on; each state is unfolded once. */
static void print_tree(StateKind kind, int from, const char *indent, unsigned *shown,
                       unsigned depth) {
        const StateTable *t = state_table(kind);

        *shown |= BIT(from);
        for (size_t i = 0; i < t->n_moves; i++) {
                const StateMove *m = &t->moves[i];
                bool more = has_moves_after(t, i), again = *shown & BIT(m->to);
                bool final = state_is_final(kind, t->words[m->to]);
                _cleanup_(freep) char *below = str_format("%s%s", indent, more ? "|   " : "    ");
                int width;

                if (m->from != from)
                        continue;
                width = printf("    %s%s-> %s%s", indent, more ? "|" : "`", t->words[m->to],
                               final   ? " (final)"
                               : again ? " (above)"
                                       : "");
                (void) printf("%*s%s\n", WHEN_COLUMN > width ? WHEN_COLUMN - width : 1, "",
                              m->when);
                if (!again && !final && below && depth < DEPTH_MAX)
                        print_tree(kind, m->to, below, shown, depth + 1);
        }
}

static void print_document(void) {
        (void) fputs(head, stdout);
        for (StateKind kind = 0; kind < _KIND_MAX; kind++) {
                unsigned shown = 0;

                (void) printf("\n## %s\n\n    %s\n", titles[kind], state_table(kind)->words[0]);
                print_tree(kind, 0, "", &shown, 0);
        }
        (void) fputs(tail, stdout);
}

int main(int argc, char *argv[]) {
        if (argc == 2 && str_eq(argv[1], "--document"))
                print_document();
        else if (argc == 2 && str_eq(argv[1], "--moves"))
                for (StateKind kind = 0; kind < _KIND_MAX; kind++)
                        print_moves(state_table(kind));
        else {
                (void) fputs("usage: print-states --document|--moves\n", stderr);
                return EXIT_FAILURE;
        }
        return fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}
