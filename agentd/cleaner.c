/* A list of runs, short because the control plane names at most 64 at a time. */
#include "cleaner.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "str.h"

#define RUNS_MAX 1024U

struct Cleaner {
        CleanedRun *runs; /* owned */
        unsigned count;
        /* borrowed */
        ExecClient *exec;
        void (*on_removed)(void *userdata);
        void *userdata;
};

static CleanedRun **find(Cleaner *c, const char *run) {
        CleanedRun **slot = &c->runs;

        while (*slot && !str_eq((*slot)->run, run))
                slot = &(*slot)->next;
        return slot;
}

static void forget(Cleaner *c, CleanedRun **slot) {
        CleanedRun *run = *slot;

        *slot = run->next;
        c->count--;
        free(run);
}

static void on_done(ExecVerdict verdict, const char *words, void *userdata) {
        CleanedRun *run = userdata;
        Cleaner *c = run->cleaner;

        if (verdict == EXEC_DONE) {
                run->removed = true;
                c->on_removed(c->userdata);
                return;
        }
        log_message(LOG_WARNING, NULL, NULL, "The workspace of run %s cannot be removed: %s",
                    run->run, words);
        forget(c, find(c, run->run)); /* it will be asked for again */
}

int cleaner_remove(Cleaner *c, const char *run) {
        char text[ID_TEXT_SIZE], hex[ID_HEX_SIZE];
        CleanedRun *item;
        Id id;
        int r = id_parse(run, &id);

        if (r < 0)
                return r;
        if (*find(c, id_to_text(id, text)))
                return 0;
        if (c->count >= RUNS_MAX)
                return -EBUSY;
        item = calloc(1, sizeof(*item));
        if (!item)
                return -ENOMEM;
        item->cleaner = c;
        (void) id_to_text(id, item->run);
        item->next = c->runs;
        c->runs = item;
        c->count++;
        r = exec_call_new(c->exec,
                          &(ExecRequest){ .method = "Clean",
                                          .text = id_to_hex(id, hex),
                                          .tries_max = 8,
                                          .done = on_done,
                                          .userdata = item },
                          NULL);
        if (r < 0)
                forget(c, find(c, text));
        return r;
}

CleanedRun *cleaner_first(Cleaner *c) {
        return c->runs;
}

void cleaner_acknowledge(Cleaner *c, const char *run) {
        CleanedRun **slot = find(c, run);

        if (*slot)
                forget(c, slot);
}

int cleaner_new(ExecClient *exec, void (*on_removed)(void *userdata), void *userdata,
                Cleaner **ret) {
        Cleaner *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->exec = exec;
        c->on_removed = on_removed;
        c->userdata = userdata;
        *ret = c;
        return 0;
}

Cleaner *cleaner_free(Cleaner *c) {
        if (!c)
                return NULL;
        while (c->runs)
                forget(c, &c->runs);
        free(c);
        return NULL;
}
