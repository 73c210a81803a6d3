/* A queue; one attempt a turn, because each look into the journal reads files. */
#include "recovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
#include <systemd/sd-messages.h>

#include "id.h"
#include "log.h"
#include "message-ids.h"
#include "parse.h"
#include "str.h"
#include "unit-name.h"

#define ENTRIES_MAX 64U /* of PID 1 about one unit, from the last one back */
#define REPORT_MAX 4096U

typedef struct Wanted {
        struct Wanted *next;
        ProtoRecover recover;
} Wanted;

struct Recovery {
        /* owned */
        Wanted *first;
        Wanted **last;
        sd_event_source *turn;
        sd_journal *journal; /* while there is something to look for */
        char *unit;          /* our own */
        /* borrowed: our owner */
        const char *instance;
        recovery_done_t done;
        void *userdata;
};

static const char reason_rebooted[] = "The host rebooted before agentd could see how it ended.";
static const char reason_gone[] =
        "Its unit was stopped while agentd was not there to see how it ended.";
static const char reason_unbegun[] =
        "systemd did not begin it: something that it needs failed, a mount for one.";
static const char reason_nothing[] = "The journal of this host has no trace of it.";

static int field(sd_journal *j, const char *name, char *text, size_t size) {
        size_t prefix = strlen(name) + 1, n;
        const void *data;
        int r = sd_journal_get_data(j, name, &data, &n);

        if (r < 0)
                return r;
        if (n < prefix || n - prefix >= size)
                return -EBADMSG;
        (void) memcpy(text, (const char *) data + prefix, n - prefix);
        text[n - prefix] = '\0';
        return 0;
}

/* 1: the journal stands at the last entry with all of these; 0: there is none. */
static int seek_last(sd_journal *j, const char *const matches[]) {
        int r = 0;

        sd_journal_flush_matches(j);
        for (size_t i = 0; r >= 0 && matches[i]; i++)
                r = sd_journal_add_match(j, matches[i], 0);
        if (r >= 0)
                r = sd_journal_seek_tail(j);
        return r < 0 ? r : sd_journal_previous(j);
}

/* It went through a file, so it is checked as if it came from the network. */
static bool report_is_good(const char *json, const ProtoRecover *wanted, Recovered *known) {
        ProtoEvent event = {};
        int r = json_decode(json, strlen(json), proto_event_fields, JSON_IGNORE_UNKNOWN, &event,
                            NULL);
        bool good = r >= 0 && str_eq(event.state, "ended") && event.result &&
                    str_eq(event.attempt, wanted->attempt) && event.epoch == wanted->epoch;

        if (good)
                (void) snprintf(known->result, sizeof(known->result), "%s", event.result);
        json_done(proto_event_fields, &event);
        return good;
}

static int read_report(Recovery *r, const ProtoRecover *wanted, Recovered *known) {
        _cleanup_(freep) char *attempt = str_format("SLUICE_ATTEMPT=%s", wanted->attempt);
        _cleanup_(freep) char *unit = str_format("_SYSTEMD_UNIT=%s", r->unit);
        const char *matches[] = { "MESSAGE_ID=" MSG_ATTEMPT_ENDED, attempt, unit, NULL };
        char json[REPORT_MAX];
        int n;

        if (!attempt || !unit)
                return -ENOMEM;
        for (n = seek_last(r->journal, matches); n > 0; n = sd_journal_previous(r->journal))
                if (field(r->journal, RECOVERY_FIELD, json, sizeof(json)) >= 0 &&
                    report_is_good(json, wanted, known)) {
                        known->began = true;
                        known->reason = "Its end was seen before agentd was started again.";
                        (void) sd_journal_get_realtime_usec(r->journal, &known->ended_usec);
                        return str_replace(&known->report, json);
                }
        return n;
}

static const char *reason_by_boot(sd_journal *j) {
        sd_id128_t boot, now;
        uint64_t usec;

        return sd_journal_get_monotonic_usec(j, &usec, &boot) >= 0 &&
                               sd_id128_get_boot(&now) >= 0 && !sd_id128_equal(boot, now)
                       ? reason_rebooted
                       : reason_gone;
}

/* What came before a start of the unit is not how it ended: PID 1 may have restarted it since. */
static bool is_beginning(sd_journal *j) {
        static const char *const beginnings[] = {
                SD_MESSAGE_UNIT_STARTING_STR,
                SD_MESSAGE_UNIT_STARTED_STR,
                SD_MESSAGE_UNIT_RESTART_SCHEDULED_STR,
        };
        char id[64];

        if (field(j, "MESSAGE_ID", id, sizeof(id)) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(beginnings); i++)
                if (str_eq(beginnings[i], id))
                        return true;
        return false;
}

/* What the entry adds: the result is in one, the exit status in an earlier one. True when that is all. */
static bool read_entry(sd_journal *j, Recovered *known) {
        static const struct {
                const char *word;
                int32_t code;
        } codes[] = { { "exited", CLD_EXITED },
                      { "killed", CLD_KILLED },
                      { "dumped", CLD_DUMPED } };
        char text[64];
        uint64_t status;

        if (is_beginning(j))
                return true;
        if (str_eq(known->result, "lost") && field(j, "UNIT_RESULT", text, sizeof(text)) >= 0) {
                (void) snprintf(known->result, sizeof(known->result), "%.31s", text);
                known->reason = "systemd's words in the journal tell how it ended.";
        }
        if (field(j, "EXIT_CODE", text, sizeof(text)) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (str_eq(codes[i].word, text))
                        known->main_code = codes[i].code;
        if (field(j, "EXIT_STATUS", text, sizeof(text)) >= 0 &&
            parse_u64_range(text, 0, 255, &status) >= 0)
                known->main_status = (int32_t) status;
        return true;
}

/* What it needs failed, before its turn came. */
static bool is_unbegun(sd_journal *j) {
        char type[16], result[16];

        return field(j, "JOB_TYPE", type, sizeof(type)) >= 0 && str_eq(type, "start") &&
               field(j, "JOB_RESULT", result, sizeof(result)) >= 0 && str_eq(result, "dependency");
}

/* PID 1 names the result of a failure. Of a success it says nothing while the unit remains, and of a unit that was stopped it
 * says the same whether its task had ended or not. */
static int read_systemd(Recovery *r, const char *unit, Recovered *known) {
        _cleanup_(freep) char *about = str_format("UNIT=%s", unit);
        const char *matches[] = { about, "_PID=1", NULL };
        int n;

        if (!about)
                return -ENOMEM;
        n = seek_last(r->journal, matches);
        if (n <= 0)
                return n;
        known->reason = reason_by_boot(r->journal);
        (void) sd_journal_get_realtime_usec(r->journal, &known->ended_usec);
        for (unsigned i = 0; n > 0 && i < ENTRIES_MAX; i++) {
                known->began |= !is_unbegun(r->journal);
                if (read_entry(r->journal, known))
                        break;
                n = sd_journal_previous(r->journal);
        }
        if (!known->began)
                known->reason = reason_unbegun;
        if (str_eq(known->result, "lost"))
                known->main_code = known->main_status = 0;
        return n < 0 ? n : 1;
}

/* The last that is left: it wrote something. */
static int read_output(Recovery *r, const char *unit, Recovered *known) {
        _cleanup_(freep) char *by = str_format("_SYSTEMD_UNIT=%s", unit);
        const char *matches[] = { by, NULL };
        int n = by ? seek_last(r->journal, matches) : -ENOMEM;

        if (n <= 0)
                return n;
        known->began = true;
        known->reason = reason_by_boot(r->journal);
        return sd_journal_get_realtime_usec(r->journal, &known->ended_usec);
}

static int read_all(Recovery *r, const ProtoRecover *wanted, Recovered *known) {
        _cleanup_(freep) char *unit = NULL;
        int n = unit_name_of_attempt(r->instance, wanted->attempt, &unit);

        if (n < 0)
                return n;
        if (!r->journal)
                n = sd_journal_open(&r->journal, SD_JOURNAL_LOCAL_ONLY);
        if (n >= 0)
                n = read_report(r, wanted, known);
        if (n >= 0 && !known->began)
                n = read_systemd(r, unit, known);
        if (n >= 0 && !known->began)
                n = read_output(r, unit, known);
        return n;
}

static void wanted_free(Wanted *w) {
        json_done(proto_recover_fields, &w->recover);
        free(w);
}

static void close_journal(Recovery *r) {
        if (r->journal)
                sd_journal_close(r->journal);
        r->journal = NULL;
}

/* A journal that cannot be read is no proof that nothing began. */
static int on_turn(sd_event_source *source, void *userdata) {
        Recovered known = { .result = "lost", .reason = reason_nothing };
        Recovery *r = userdata;
        Wanted *w = r->first;
        int n;

        if (!w)
                return 0;
        r->first = w->next;
        if (!r->first)
                r->last = &r->first;
        n = read_all(r, &w->recover, &known);
        if (n < 0) {
                (void) log_error(n, "Cannot look in the journal for the end of attempt %s",
                                 w->recover.attempt);
                known.began = true;
                known.reason = "The journal of this host cannot be read.";
        }
        r->done(&w->recover, &known, r->userdata);
        free(known.report);
        wanted_free(w);
        if (r->first)
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        close_journal(r);
        return 0;
}

int recovery_add(Recovery *r, ProtoRecover *wanted) {
        Wanted *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->recover = *wanted;
        *wanted = (ProtoRecover){};
        *r->last = w;
        r->last = &w->next;
        return sd_event_source_set_enabled(r->turn, SD_EVENT_ONESHOT);
}

int recovery_new(sd_event *event, const char *instance, recovery_done_t done, void *userdata,
                 Recovery **ret) {
        _cleanup_(recovery_freep) Recovery *r = calloc(1, sizeof(*r));
        int n;

        if (!r)
                return -ENOMEM;
        r->last = &r->first;
        r->instance = instance;
        r->done = done;
        r->userdata = userdata;
        n = sd_pid_get_unit(0, &r->unit);
        if (n < 0)
                n = str_replace(&r->unit, "agentd.service");
        if (n >= 0)
                n = sd_event_add_defer(event, &r->turn, on_turn, r);
        if (n >= 0)
                n = sd_event_source_set_enabled(r->turn, SD_EVENT_OFF);
        if (n < 0)
                return n;
        *ret = TAKE_PTR(r);
        return 0;
}

Recovery *recovery_free(Recovery *r) {
        if (!r)
                return NULL;
        while (r->first) {
                Wanted *w = r->first;

                r->first = w->next;
                wanted_free(w);
        }
        close_journal(r);
        (void) sd_event_source_disable_unref(r->turn);
        free(r->unit);
        free(r);
        return NULL;
}
