/* A list of runs, short because the control plane names at most 64 at a time. Of a batch that failed it is not known which could be removed:
 * its runs are asked for one by one, so that one that stays holds up no others. */
#include "cleaner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "str.h"
#include "timespan.h"
#include "unit-name.h"

#define RUNS_MAX 1024U
#define BATCH_MAX 64U                 /* what agentd-exec takes at once */
#define BATCH_USEC (2 * USEC_PER_SEC) /* nobody waits for it */
#define TRIES_MAX 4U                  /* then the control plane asks again */

struct Cleaner {
        /* owned */
        CleanedRun *runs;
        sd_event_source *timer;
        /* borrowed */
        ExecClient *exec;
        const char *instance;
        void (*on_removed)(void *userdata);
        void *userdata;
        unsigned count;
        bool busy; /* a call is under way */
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

static bool waits(const CleanedRun *run) {
        return !run->asked && !run->removed;
}

static CleanedRun *first_alone(const Cleaner *c) {
        CleanedRun *run = c->runs;

        while (run && !(run->alone && waits(run)))
                run = run->next;
        return run;
}

static void plan(Cleaner *c) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(c->timer, &enabled);
        if (c->busy || enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time_relative(c->timer, first_alone(c) ? 0 : BATCH_USEC);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* What could not be removed alone is forgotten: it will be asked for again. */
static void on_done(ExecVerdict verdict, const char *words, void *userdata) {
        Cleaner *c = userdata;
        CleanedRun **slot = &c->runs;
        bool more = false;

        c->busy = false;
        while (*slot) {
                CleanedRun *run = *slot;

                if (run->asked && run->alone && verdict != EXEC_DONE) {
                        log_message(LOG_WARNING, NULL, NULL,
                                    "The workspace of run %s cannot be removed: %s", run->run,
                                    words);
                        forget(c, slot);
                        continue;
                }
                run->removed |= run->asked && verdict == EXEC_DONE;
                run->alone |= run->asked;
                run->asked = false;
                more |= waits(run);
                slot = &run->next;
        }
        if (verdict == EXEC_DONE)
                c->on_removed(c->userdata);
        if (more)
                plan(c);
}

static int append_runs(sd_bus_message *m, void *userdata) {
        Cleaner *c = userdata;
        char hex[ID_HEX_SIZE], name[UNIT_ID_SIZE];
        Id id;
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (CleanedRun *run = c->runs; r >= 0 && run; run = run->next) {
                if (!run->asked)
                        continue;
                r = id_parse(run->run, &id);
                if (r >= 0)
                        r = sd_bus_message_append(m, "s",
                                                  unit_id(c->instance, id_to_hex(id, hex), name));
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Returns whether there are any. */
static bool choose_batch(Cleaner *c) {
        CleanedRun *alone = first_alone(c);
        unsigned n = 0;

        if (alone) {
                alone->asked = true;
                return true;
        }
        for (CleanedRun *run = c->runs; run && n < BATCH_MAX; run = run->next)
                if (waits(run)) {
                        run->asked = true;
                        n++;
                }
        return n > 0;
}

static int on_batch(sd_event_source *source, uint64_t usec, void *userdata) {
        Cleaner *c = userdata;
        int r;

        (void) source;
        (void) usec;
        if (!choose_batch(c))
                return 0;
        c->busy = true;
        r = exec_call_new(c->exec,
                          &(ExecRequest){ .method = "Clean",
                                          .append = append_runs,
                                          .tries_max = TRIES_MAX,
                                          .done = on_done,
                                          .userdata = c },
                          NULL);
        if (r < 0)
                on_done(EXEC_FAILED, strerror(-r), c);
        return 0;
}

int cleaner_remove(Cleaner *c, const char *run) {
        char text[ID_TEXT_SIZE];
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
        (void) strcpy(item->run, text);
        item->next = c->runs;
        c->runs = item;
        c->count++;
        plan(c);
        return 0;
}

bool cleaner_make_way(Cleaner *c, const char *run) {
        char text[ID_TEXT_SIZE];
        CleanedRun **slot;
        Id id;

        if (id_parse(run, &id) < 0)
                return true;
        slot = find(c, id_to_text(id, text));
        if (*slot && !(*slot)->removed)
                return false;
        if (*slot)
                forget(c, slot);
        return true;
}

CleanedRun *cleaner_first(Cleaner *c) {
        return c->runs;
}

void cleaner_acknowledge(Cleaner *c, const char *run) {
        CleanedRun **slot = find(c, run);

        if (*slot)
                forget(c, slot);
}

int cleaner_new(sd_event *event, ExecClient *exec, const char *instance,
                void (*on_removed)(void *userdata), void *userdata, Cleaner **ret) {
        _cleanup_(cleaner_freep) Cleaner *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->exec = exec;
        c->instance = instance;
        c->on_removed = on_removed;
        c->userdata = userdata;
        r = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, 0, 0, on_batch, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

Cleaner *cleaner_free(Cleaner *c) {
        if (!c)
                return NULL;
        while (c->runs)
                forget(c, &c->runs);
        (void) sd_event_source_disable_unref(c->timer);
        free(c);
        return NULL;
}
