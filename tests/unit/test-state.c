/* The tables of states are whole: the database's copy is compared with them in tests/sql/15-states.sql. */
#include <errno.h>

#include "state.h"
#include "cleanup.h"
#include "str.h"
#include "../lib/tap.h"

static void test_words_are_unambiguous(void) {
        for (StateKind kind = 0; kind < _KIND_MAX; kind++) {
                const StateTable *t = state_table(kind);

                for (size_t i = 0; i < t->n_words; i++)
                        ok_int(state_from_string(kind, t->words[i]), i);
                ok_null(state_to_string(kind, (int) t->n_words));
                ok_null(state_to_string(kind, -1));
                ok_int(state_from_string(kind, "odd"), -EINVAL);
                ok_int(state_from_string(kind, NULL), -EINVAL);
        }
}

static void test_each_move_stands_once(void) {
        for (StateKind kind = 0; kind < _KIND_MAX; kind++) {
                const StateTable *t = state_table(kind);
                size_t listed = t->n_moves, found = 0;

                for (int from = 0; from < (int) t->n_words; from++)
                        for (int to = 0; to < (int) t->n_words; to++)
                                found += state_may_move(kind, from, to);
                ok_int(found, listed);
                for (size_t i = 0; i < t->n_moves; i++)
                        ok_true(t->moves[i].when && t->moves[i].from != t->moves[i].to);
        }
}

/* From where it begins everything can be reached, and from everything an end: but an instance has none. */
static void test_all_is_reached_and_all_can_end(void) {
        for (StateKind kind = 0; kind < _KIND_MAX; kind++) {
                const StateTable *t = state_table(kind);
                unsigned reached = BIT(0), ending = 0, all = BIT(t->n_words) - 1;

                for (size_t s = 0; s < t->n_words; s++)
                        if (state_is_final(kind, t->words[s]))
                                ending |= BIT(s);
                ok_int(ending != 0, kind != KIND_INSTANCE);
                for (size_t round = 0; round < t->n_words; round++)
                        for (size_t i = 0; i < t->n_moves; i++) {
                                if (reached & BIT(t->moves[i].from))
                                        reached |= BIT(t->moves[i].to);
                                if (ending & BIT(t->moves[i].to))
                                        ending |= BIT(t->moves[i].from);
                        }
                ok_int(reached, all);
                ok_int(ending, kind == KIND_INSTANCE ? 0 : all);
        }
}

static void test_final_states(void) {
        ok_true(state_is_final(KIND_RUN, "cancelled"));
        ok_true(state_is_final(KIND_ATTEMPT, "ended"));
        ok_true(!state_is_final(KIND_RUN, "running"));
        ok_true(!state_is_final(KIND_RUN, "odd"));
        ok_true(!state_is_final(KIND_RUN, NULL));
        ok_true(!state_may_move(KIND_RUN, STATE_RUN_SUCCEEDED, STATE_RUN_RUNNING));
}

int main(void) {
        RUN(test_words_are_unambiguous);
        RUN(test_each_move_stands_once);
        RUN(test_all_is_reached_and_all_can_end);
        RUN(test_final_states);
        return tap_done();
}
