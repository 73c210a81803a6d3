/* The deadline is moved when a tenth of its time has gone by since it was moved last. */
#include "contact.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "timespan.h"

struct Contact {
        /* borrowed: freed after us */
        ExecClient *exec;
        const char *instance;
        ExecCall *call; /* owned */
        contact_done_t done;
        void *userdata;
        uint64_t self_fence_usec;
        uint64_t last_usec;  /* of the last contact; 0: none since our start */
        uint64_t sent_usec;  /* deadline that was asked for last */
        uint64_t armed_usec; /* deadline that PID 1 has; 0: not known */
};

uint64_t contact_now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

void contact_note(Contact *c, uint64_t sent_usec) {
        if (sent_usec > c->last_usec)
                c->last_usec = sent_usec;
}

uint64_t contact_deadline(const Contact *c, uint64_t sent_usec) {
        return sent_usec + c->self_fence_usec;
}

bool contact_is_over(const Contact *c) {
        return c->armed_usec > 0 && contact_now() >= c->armed_usec;
}

static void on_moved(ExecVerdict verdict, const char *words, void *userdata) {
        Contact *c = userdata;

        c->call = NULL;
        if (verdict == EXEC_DONE)
                c->armed_usec = c->sent_usec;
        else
                log_message(LOG_WARNING, NULL, NULL,
                            "The deadline of fenced tasks cannot be moved, so they may be stopped "
                            "early: %s",
                            words);
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
        (void) verdict;
        c->call = NULL;
        c->done(c->userdata);
}

static int append_first(sd_bus_message *m, void *userdata) {
        Contact *c = userdata;

        return append(m, c, contact_deadline(c, contact_now()), false);
}

static int append_none(sd_bus_message *m, void *userdata) {
        return append(m, userdata, 0, true);
}

static int ask(Contact *c, exec_append_t arguments, contact_done_t done, void *userdata) {
        c->call = exec_call_free(c->call);
        c->done = done;
        c->userdata = userdata;
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
        return ask(c, append_none, done, userdata);
}

void contact_fence(Contact *c) {
        uint64_t deadline = contact_deadline(c, c->last_usec);
        int r;

        if (c->call || c->last_usec == 0 || deadline < c->armed_usec + c->self_fence_usec / 10)
                return;
        r = exec_call_new(c->exec,
                          &(ExecRequest){ .method = method_of(c),
                                          .append = append_deadline,
                                          .tries_max = 4,
                                          .done = on_moved,
                                          .userdata = c },
                          &c->call);
        if (r < 0)
                (void) log_error(r, "Cannot move the deadline of fenced tasks");
}

int contact_new(ExecClient *exec, const char *instance, uint64_t self_fence_usec, Contact **ret) {
        Contact *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->exec = exec;
        c->instance = instance;
        c->self_fence_usec = self_fence_usec;
        *ret = c;
        return 0;
}

Contact *contact_free(Contact *c) {
        if (!c)
                return NULL;
        (void) exec_call_free(c->call);
        free(c);
        return NULL;
}
