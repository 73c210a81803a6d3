/* Collects what is wrong with a pipe, bounded, and says it in the order in which a person mends it. */
#include <errno.h>
#include <stdlib.h>

#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

typedef struct Complaint {
        unsigned line, column;
        size_t number; /* in the order of finding */
        int code;
        char slug[ERROR_SLUG_MAX];
        char *words; /* owned */
} Complaint;

int complaints_add(Complaints *c, unsigned line, unsigned column, const Error *e) {
        Complaint *grown;

        if (c->n > PIPE_COMPLAINTS_MAX)
                return 0;
        grown = reallocarray(c->items, c->n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        c->items = grown;
        grown[c->n] = (Complaint){ line, column, c->n, e->code, "", strdup(e->detail) };
        (void) strcpy(grown[c->n].slug, e->slug);
        return grown[c->n++].words ? 0 : -ENOMEM;
}

static int by_place(const void *a, const void *b) {
        const Complaint *x = a, *y = b;

        if (x->line != y->line)
                return x->line < y->line ? -1 : 1;
        if (x->column != y->column)
                return x->column < y->column ? -1 : 1;
        return x->number < y->number ? -1 : 1;
}

static char *format(const Complaint *c, const char *name) {
        return c->line > 0 ? str_format("%s:%u:%u: %s", name, c->line, c->column, c->words)
                           : strdup(c->words);
}

int complaints_take(Complaints *c, const char *name, Error *e, char ***ret_all) {
        _cleanup_(strv_freep) char **all = NULL;
        int r = 0;

        if (c->n == 0)
                return 0;
        qsort(c->items, c->n, sizeof(*c->items), by_place);
        for (size_t i = 0; i < c->n && i < PIPE_COMPLAINTS_MAX && r >= 0; i++) {
                char *text = format(&c->items[i], name);

                r = text ? strv_append_take(&all, text) : -ENOMEM;
                if (r >= 0 && i == 0)
                        (void) error_set(e, c->items[i].code, c->items[i].slug, "%s", text);
        }
        if (r >= 0 && c->n > PIPE_COMPLAINTS_MAX)
                r = strv_append(&all, "There is more, which is not shown.");
        if (r < 0)
                return r;
        if (ret_all)
                *ret_all = TAKE_PTR(all);
        return c->items[0].code;
}

void complaints_done(Complaints *c) {
        for (size_t i = 0; i < c->n; i++)
                free(c->items[i].words);
        free(c->items);
        *c = (Complaints){};
}
