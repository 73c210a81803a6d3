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
        ExecCall *call; /* owned */
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

static int append_deadline(sd_bus_message *m, void *userdata) {
        Contact *c = userdata;

        c->sent_usec = contact_deadline(c, c->last_usec);
        return sd_bus_message_append(m, "t", c->sent_usec);
}

void contact_fence(Contact *c) {
        uint64_t deadline = contact_deadline(c, c->last_usec);
        int r;

        if (c->call || c->last_usec == 0 || deadline < c->armed_usec + c->self_fence_usec / 10)
                return;
        r = exec_call_new(c->exec,
                          &(ExecRequest){ .method = "Lease",
                                          .append = append_deadline,
                                          .tries_max = 4,
                                          .done = on_moved,
                                          .userdata = c },
                          &c->call);
        if (r < 0)
                (void) log_error(r, "Cannot move the deadline of fenced tasks");
}

int contact_new(ExecClient *exec, uint64_t self_fence_usec, Contact **ret) {
        Contact *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->exec = exec;
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
