/* The timer is only armed while something runs. */
#include "sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json-out.h"
#include "log.h"
#include "proto.h"
#include "timespan.h"

#define TIMEOUT_SEC 30U

struct Sampler {
        /* owned */
        sd_event_source *timer;
        Channel *channel;
        char *body; /* the newest samples, not sent yet */
        /* borrowed */
        AttemptTable *attempts;
        uint64_t interval_usec;
        unsigned passed; /* of those that run, with the samples before */
        bool armed;
};

static void write_sample(JsonOut *o, const Attempt *a, const Usage *u) {
        json_out_object(o, NULL);
        json_out_text(o, "attempt", a->text);
        json_out_u64(o, "epoch", a->epoch);
        json_out_u64(o, "realtime_usec", clock_usec(CLOCK_REALTIME));
        json_out_known(o, "cpu_usage_usec", u->cpu_usage_usec);
        json_out_known(o, "memory_current_bytes", u->memory_current_bytes);
        json_out_known(o, "memory_peak_bytes", u->memory_peak_bytes);
        json_out_known(o, "io_read_bytes", u->io_read_bytes);
        json_out_known(o, "io_write_bytes", u->io_write_bytes);
        json_out_known(o, "tasks_current", u->tasks_current);
        json_out_end_object(o);
}

static bool is_running(const Attempt *a) {
        return a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_STOPPING;
}

/* Whether any attempt runs. One without a process is before its first or after its last: no sample. Of more than go into one message
 * the others have their turn next time. */
static bool take_samples(Sampler *s) {
        _cleanup_(freep) char *body = NULL;
        unsigned n = 0, running = 0;
        JsonOut o = {};
        Usage usage;

        json_out_object(&o, NULL);
        json_out_array(&o, "samples");
        for (Attempt *a = attempt_first(s->attempts); a && n < PROTO_SAMPLES_MAX;
             a = attempt_next(a)) {
                if (!is_running(a) || running++ < s->passed || cgroup_read(a->id, &usage) < 0 ||
                    usage.tasks_current == 0)
                        continue;
                write_sample(&o, a, &usage);
                n++;
        }
        s->passed = n < PROTO_SAMPLES_MAX ? 0 : running;
        json_out_end_array(&o);
        json_out_end_object(&o);
        free(s->body);
        s->body = NULL;
        if (json_out_take(&o, &body) >= 0 && n > 0)
                s->body = TAKE_PTR(body);
        return running > 0;
}

static int sampler_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Sampler *s = userdata;

        (void) usec;
        s->armed = false;
        if (!take_samples(s))
                return 0;
        channel_kick(s->channel);
        s->armed = true;
        (void) sd_event_source_set_time_relative(source, s->interval_usec);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_turn(Channel *c, void *userdata) {
        Sampler *s = userdata;

        if (!s->body)
                return;
        (void) channel_send(c, &(ChannelRequest){ PROTO_PATH "/metrics", "application/json",
                                                  s->body, strlen(s->body), TIMEOUT_SEC });
}

static void on_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        Sampler *s = userdata;

        (void) c;
        if (answer->problem)
                log_debug("The control plane does not take samples: %s", answer->problem->detail);
        free(s->body);
        s->body = NULL;
}

void sampler_kick(Sampler *s) {
        if (s->armed)
                return;
        (void) sd_event_source_set_time_relative(s->timer, s->interval_usec);
        s->armed = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT) >= 0;
}

int sampler_new(sd_event *event, Link *link, AttemptTable *attempts, uint64_t interval_usec,
                Sampler **ret) {
        _cleanup_(sampler_freep) Sampler *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->attempts = attempts;
        s->interval_usec = interval_usec;
        r = channel_new(link, "metrics", on_turn, on_answer, s, &s->channel);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &s->timer, CLOCK_MONOTONIC, interval_usec, 0,
                                               sampler_on_timer, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Sampler *sampler_free(Sampler *s) {
        if (!s)
                return NULL;
        (void) channel_free(s->channel);
        (void) sd_event_source_disable_unref(s->timer);
        free(s->body);
        free(s);
        return NULL;
}
