/* The deadline is moved when a tenth of its time has gone by since it was moved last. */
#include "contact.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fileio.h"
#include "log.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"

#define OVER_USEC (1 * USEC_PER_SEC) /* what PID 1 has to be first with it */

struct Contact {
        /* borrowed: freed after us */
        sd_event *event;
        ExecClient *exec;
        const char *instance;
        ExecCall *call;         /* owned */
        sd_event_source *watch; /* owned; until shortly after the deadline that PID 1 has */
        char *path;             /* owned; of the file with noted_usec; NULL: none */
        contact_done_t done;
        void *done_userdata;
        contact_moved_t moved;
        void *userdata;
        uint64_t self_fence_usec;
        uint64_t last_usec;  /* of the last contact; 0: none since our start */
        uint64_t sent_usec;  /* deadline that was asked for last */
        uint64_t armed_usec; /* deadline that PID 1 has from us; 0: none since our start */
        uint64_t noted_usec; /* the one that it has, or had last, for all that is known; 0: none */
};

uint64_t contact_now(void) {
        return clock_usec(CLOCK_BOOTTIME);
}

void contact_note(Contact *c, uint64_t sent_usec) {
        if (sent_usec > c->last_usec)
                c->last_usec = sent_usec;
}

uint64_t contact_deadline(const Contact *c, uint64_t sent_usec) {
        return sent_usec + c->self_fence_usec;
}

bool contact_was_over(const Contact *c, uint64_t at_usec) {
        uint64_t asleep_usec = contact_now() - clock_usec(CLOCK_MONOTONIC);

        return c->noted_usec > 0 && at_usec + asleep_usec >= c->noted_usec;
}

/* For the next start of agentd: it may find tasks that this deadline has stopped, or is about to stop. */
static void note(Contact *c, uint64_t deadline_usec) {
        _cleanup_(freep) char *text = str_format("%" PRIu64 "\n", deadline_usec);
        int r = text ? 0 : -ENOMEM;

        c->noted_usec = deadline_usec;
        if (c->path && r >= 0)
                r = file_write_atomic(c->path, text, strlen(text), 0600);
        if (r < 0)
                (void) log_error(r, "Cannot note the deadline of fenced tasks");
}

static void read_noted(Contact *c) {
        _cleanup_(freep) char *text = NULL;
        int r = c->path ? file_read(c->path, 64, &text, NULL) : -ENOENT;

        if (r >= 0) {
                text[strcspn(text, "\n")] = '\0';
                r = parse_u64(text, &c->noted_usec);
        }
        if (r < 0 && r != -ENOENT)
                (void) log_error(r, "Cannot read the deadline of fenced tasks");
}

bool contact_stands(const Contact *c) {
        return c->armed_usec > contact_now();
}

void contact_doubt(Contact *c) {
        c->armed_usec = 0;
}

static void move(Contact *c);

/* PID 1 has stopped them by now, unless the host slept: its timer stood still then. */
static int on_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Contact *c = userdata;

        (void) source;
        (void) usec;
        if (!c->call && c->armed_usec > 0)
                move(c);
        return 0;
}

static void watch(Contact *c) {
        uint64_t at_usec = c->armed_usec + OVER_USEC;
        int r = 0;

        if (at_usec <= contact_now())
                return;
        c->watch = sd_event_source_disable_unref(c->watch);
        r = sd_event_add_time(c->event, &c->watch, CLOCK_BOOTTIME, at_usec, OVER_USEC / 4, on_over,
                              c);
        if (r < 0)
                (void) log_error(r, "Cannot watch the deadline of fenced tasks");
}

static void on_moved(ExecVerdict verdict, const char *words, void *userdata) {
        Contact *c = userdata;

        c->call = NULL;
        if (verdict == EXEC_DONE) {
                c->armed_usec = c->sent_usec;
                note(c, c->sent_usec);
                watch(c);
        } else {
                contact_doubt(c);
                log_message(LOG_WARNING, NULL, NULL,
                            "The deadline of fenced tasks cannot be moved, so they may be stopped "
                            "early: %s",
                            words);
        }
        c->moved(verdict == EXEC_DONE ? NULL : words, c->userdata);
}

static const char *method_of(const Contact *c) {
        return *c->instance ? "LeaseOf" : "Lease";
}

static int append(sd_bus_message *m, const Contact *c, uint64_t deadline_usec, bool move) {
        int r = *c->instance ? sd_bus_message_append(m, "s", c->instance) : 0;

        return r < 0 ? r : sd_bus_message_append(m, "tb", deadline_usec, move);
}

static int append_deadline(sd_bus_message *m, void *userdata) {
        Contact *c = userdata;

        c->sent_usec = contact_deadline(c, c->last_usec);
        return append(m, c, c->sent_usec, true);
}

static void on_done(ExecVerdict verdict, const char *words, void *userdata) {
        Contact *c = userdata;

        (void) words;
        c->call = NULL;
        /* One that stood was left alone: it is the one that is noted. */
        if (verdict == EXEC_DONE && (c->sent_usec == 0 || c->noted_usec == 0))
                note(c, c->sent_usec);
        c->done(c->done_userdata);
}

static int append_first(sd_bus_message *m, void *userdata) {
        Contact *c = userdata;

        c->sent_usec = contact_deadline(c, contact_now());
        return append(m, c, c->sent_usec, false);
}

static int append_none(sd_bus_message *m, void *userdata) {
        Contact *c = userdata;

        c->sent_usec = 0;
        return append(m, c, 0, true);
}

static int ask(Contact *c, exec_append_t arguments, contact_done_t done, void *userdata) {
        c->call = exec_call_free(c->call);
        c->done = done;
        c->done_userdata = userdata;
        return exec_call_new(c->exec,
                             &(ExecRequest){ .method = method_of(c),
                                             .append = arguments,
                                             .tries_max = 4,
                                             .done = on_done,
                                             .userdata = c },
                             &c->call);
}

int contact_resume(Contact *c, contact_done_t done, void *userdata) {
        return ask(c, append_first, done, userdata);
}

int contact_lift(Contact *c, contact_done_t done, void *userdata) {
        contact_doubt(c);
        return ask(c, append_none, done, userdata);
}

static void move(Contact *c) {
        int r = exec_call_new(c->exec,
                              &(ExecRequest){ .method = method_of(c),
                                              .append = append_deadline,
                                              .tries_max = 4,
                                              .done = on_moved,
                                              .userdata = c },
                              &c->call);

        if (r < 0)
                (void) log_error(r, "Cannot move the deadline of fenced tasks");
}

void contact_fence(Contact *c) {
        uint64_t deadline = contact_deadline(c, c->last_usec);

        if (c->call || c->last_usec == 0 || deadline < c->armed_usec + c->self_fence_usec / 10)
                return;
        move(c);
}

int contact_new(sd_event *event, ExecClient *exec, const char *instance, uint64_t self_fence_usec,
                const char *directory, contact_moved_t moved, void *userdata, Contact **ret) {
        _cleanup_(contact_freep) Contact *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->event = event;
        c->exec = exec;
        c->instance = instance;
        c->self_fence_usec = self_fence_usec;
        c->moved = moved;
        c->userdata = userdata;
        if (directory) {
                c->path = str_format("%.*s/fence", (int) strcspn(directory, ":"), directory);
                if (!c->path)
                        return -ENOMEM;
        }
        read_noted(c);
        *ret = TAKE_PTR(c);
        return 0;
}

Contact *contact_free(Contact *c) {
        if (!c)
                return NULL;
        (void) exec_call_free(c->call);
        (void) sd_event_source_disable_unref(c->watch);
        free(c->path);
        free(c);
        return NULL;
}
