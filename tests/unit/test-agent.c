/* Parts of agentd that need neither a bus nor a network. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd-internal.h"
#include "attempt-internal.h"
#include "cleaner.h"
#include "facts.h"
#include "fileio.h"
#include "identity.h"
#include "offer.h"
#include "parameter.h"
#include "past.h"
#include "proto.h"
#include "str.h"
#include "strv.h"
#include "supervision.h"
#include "../lib/tap.h"
#include "timespan.h"
#include "workspaces.h"

static Id id_of(unsigned n) {
        Id id = {};

        (void) memcpy(id.bytes, &n, sizeof(n));
        return id;
}

static void test_past_is_remembered(void) {
        Past p = {};

        ok_true(!past_has(&p, id_of(1), 1));
        ok_int(past_add(&p, id_of(1), 2, 0), 0);
        ok_true(past_has(&p, id_of(1), 1));
        ok_true(past_has(&p, id_of(1), 2));
        ok_true(!past_has(&p, id_of(1), 3)); /* given again, after it was taken back */
        ok_true(!past_has(&p, id_of(2), 1));
        past_done(&p);
}

static void test_past_is_bounded(void) {
        Past p = {};

        for (unsigned i = 0; i < PAST_MAX + 10; i++)
                if (past_add(&p, id_of(i), 1, 0) < 0)
                        ok_true(false);
        ok_int(p.count, PAST_MAX);
        ok_true(!past_has(&p, id_of(9), 1));
        ok_true(past_has(&p, id_of(10), 1));
        ok_true(past_has(&p, id_of(PAST_MAX + 9), 1));
        ok_int(past_add(&p, id_of(1), 1, PAST_USEC + 1), 0);
        ok_int(p.count, 1);
        past_done(&p);
}

static void test_systemd_versions(void) {
        static const struct {
                const char *version;
                int r;
        } rows[] = {
                { "252.39-1~deb12u1", 0 }, { "v257.3-1", 0 },      { "249", 0 },
                { "248.9", -EOPNOTSUPP },  { "", -EOPNOTSUPP },    { "systemd", -EOPNOTSUPP },
                { "v99", -EOPNOTSUPP },    { "1000000000000", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                printf("# \"%s\"\n", rows[i].version);
                ok_int(facts_check_systemd(rows[i].version, NULL), rows[i].r);
        }
}

static void test_supervision_is_news_once(void) {
        UnitState unit = { .active = "activating", .sub = "auto-restart", .restarts = 1 };
        _cleanup_(freep) char *reason = NULL;
        Supervision s = {};

        ok_true(supervision_note(&s, &unit));
        ok_true(!s.ready);
        ok_true(!supervision_note(&s, &unit));
        (void) strcpy(unit.active, "active");
        ok_true(supervision_note(&s, &unit));
        (void) strcpy(unit.active, "activating");
        ok_true(!supervision_note(&s, &unit)); /* it has been ready */
        ok_true(s.ready);
        (void) strcpy(unit.status_text, "all is well");
        ok_true(supervision_note(&s, &unit));
        ok_str(s.status_text, "all is well");
        unit.restarts = 2;
        ok_true(supervision_note(&s, &unit));
        ok_null(supervision_reason(&unit));
        (void) strcpy(unit.sub, "failed");
        reason = supervision_reason(&unit);
        ok_contains(reason, "restarted it 2 times");
        unit.restarts = 0;
        ok_null(supervision_reason(&unit));
}

static void test_identity_is_kept(void) {
        char directory[] = "/tmp/sluice-test-agent-XXXXXX";
        _cleanup_(freep) char *credential = NULL, *file = NULL;
        Identity first = {}, second = {};
        struct stat st;
        Error e = {};
        int lock;

        if (!mkdtemp(directory)) {
                ok_true(false);
                return;
        }
        lock = identity_lock(directory, &e);
        ok_true(lock >= 0);
        ok_int(identity_lock(directory, &e), -EBUSY);
        ok_contains(e.detail, "Another agentd is running with /tmp/");
        (void) close(lock);
        credential = str_format("%s/credential", directory);
        file = str_format("%s/identity", directory);
        ok_int(identity_load(directory, &first, &e), 0);
        ok_int(strlen(first.instance), ID_TEXT_SIZE - 1);
        ok_null(first.credential);
        ok_int(identity_load(directory, &second, &e), 0);
        ok_str(second.instance, first.instance);
        identity_done(&second);

        (void) strcpy(first.agent, first.instance);
        ok_int(str_replace(&first.name, "a host"), 0);
        ok_int(str_replace(&first.credential, "secret"), 0);
        ok_int(identity_store(directory, &first, &e), 0);
        ok_int(stat(credential, &st), 0);
        ok_int(st.st_mode & 07777, 0600);
        ok_int(identity_load(directory, &second, &e), 0);
        ok_str(second.credential, "secret");
        ok_str(second.name, "a host");
        ok_str(second.agent, first.agent);
        identity_done(&second);

        ok_int(file_write_atomic(file, "{\"instance\": 5}", 15, 0600), 0);
        ok_true(identity_load(directory, &second, &e) < 0);
        ok_contains(e.detail, "Remove it");
        ok_null(second.credential);
        ok_int(unlink(file), 0);
        ok_int(mkdir(file, 0700), 0);
        ok_int(identity_load(directory, &second, &e), -EISDIR);
        ok_contains(e.detail, "Cannot read");
        ok_int(rmdir(file), 0);
        identity_done(&first);
        (void) unlink(credential);
        (void) unlink(file);
        (void) rmdir(directory);
}

static char *workspaces_of(const char *state) {
        _cleanup_(workspaces_freep) Workspaces *w = NULL;
        char *json = NULL;
        JsonOut o = {};

        ok_int(workspaces_new(NULL, state, "", &w), 0);
        json_out_object(&o, NULL);
        workspaces_write(w, &o, "workspaces");
        json_out_end_object(&o);
        (void) json_out_take(&o, &json);
        return json;
}

static void test_workspaces_are_named_by_run(void) {
        char directory[] = "/tmp/sluice-test-agent-XXXXXX";
        _cleanup_(freep) char *parent = NULL, *ours = NULL, *run = NULL, *stray = NULL,
                              *none = NULL, *some = NULL;

        if (!mkdtemp(directory)) {
                ok_true(false);
                return;
        }
        none = workspaces_of("/nowhere");
        ok_str(none, "{\"workspaces\":[]}");
        parent = str_format("%s/sluice", directory);
        ours = str_format("%s/runs", parent);
        run = str_format("%s/00112233445566778899aabbccddeeff", ours);
        stray = str_format("%s/lost+found", ours);
        ok_int(mkdir(parent, 0700), 0);
        ok_int(mkdir(ours, 0700), 0);
        ok_int(mkdir(run, 0700), 0);
        ok_int(mkdir(stray, 0700), 0);
        some = workspaces_of(directory);
        ok_str(some, "{\"workspaces\":[\"00112233-4455-6677-8899-aabbccddeeff\"]}");
        (void) rmdir(run);
        (void) rmdir(stray);
        (void) rmdir(ours);
        (void) rmdir(parent);
        (void) rmdir(directory);
}

static void on_removed(void *userdata) {
        (void) userdata;
}

static void test_a_run_waits_for_its_old_workspace_to_go(void) {
        static const char run[] = "00112233-4455-6677-8899-aabbccddeeff";
        sd_event *event = NULL;
        Cleaner *c = NULL;

        ok_int(sd_event_new(&event), 0);
        ok_int(cleaner_new(event, NULL, "", on_removed, NULL, &c), 0);
        ok_true(cleaner_make_way(c, run));
        ok_int(cleaner_remove(c, run), 0);
        ok_true(!cleaner_make_way(c, run));
        ok_true(!cleaner_make_way(c, "00112233445566778899aabbccddeeff"));
        cleaner_first(c)->removed = true;
        ok_true(cleaner_make_way(c, run));
        ok_true(!cleaner_first(c)); /* else what it makes now would be taken for removed */
        (void) cleaner_free(c);
        (void) sd_event_unref(event);
}

/* One parameter of that many spaces, in that many directives. */
static void offer_becomes(size_t size, unsigned directives, int want, const char *words) {
        ProtoAssignment offer = { .attempt = strdup("00112233-4455-6677-8899-aabbccddeeff") };
        _cleanup_(freep) char *value = str_format("%*s", (int) size, "");
        _cleanup_(freep) char *text = strdup("/bin/x ");
        Error e = {};
        int r = 0;

        for (unsigned i = 0; text && i < 30; i++) {
                char *longer = str_format("%s${day}", text);

                free(text);
                text = longer;
        }
        if (!text || !value || strv_append(&offer.parameters, "day") < 0 ||
            strv_append(&offer.parameters, value) < 0 ||
            strv_append(&offer.directives, "Substitute") < 0 ||
            strv_append(&offer.directives, "yes") < 0)
                r = -ENOMEM;
        for (unsigned i = 0; r >= 0 && i < directives; i++) {
                r = strv_append(&offer.directives, "ExecStartPre");
                if (r >= 0)
                        r = strv_append(&offer.directives, text);
        }
        ok_int(r, 0);
        ok_int(offer_substitute(&offer, "", &e), want);
        ok_str(e.detail, words);
        json_done(proto_assignment_fields, &offer);
}

static void test_offers_are_bounded(void) {
        offer_becomes(PARAMETER_VALUE_MAX, 1, 0, "");
        offer_becomes(PARAMETER_VALUE_MAX + 1, 1, -EINVAL,
                      "ExecStartPre=: the value of ${day} has more than 4096 bytes");
        offer_becomes(PARAMETER_VALUE_MAX, 4, 0, "");
        offer_becomes(
                PARAMETER_VALUE_MAX, 5, -EINVAL,
                "with ExecStartPre= the directives and their values have more than 2097152 bytes");
}

static void test_answers_are_decoded(void) {
        static const char text[] =
                "{\"start\": [{\"attempt\": \"a\", \"epoch\": 3, \"run\": \"r\", \"project\": "
                "\"p\", \"pipe\": \"q\", \"task\": \"t\", \"directives\": [[\"ExecStart\", "
                "\"/bin/true\"]], \"new\": 1}], \"clean\": [\"x\"], \"later\": {}}";
        static const char *const bad[] = {
                "[]",
                "{\"start\": 1}",
                "{\"start\": [{}]}",
                "{\"clean\": [1]}",
                ("{\"start\": [{\"attempt\": \"a\", \"epoch\": -1, \"run\": \"r\", \"project\": "
                 "\"p\", \"pipe\": \"q\", \"task\": \"t\", \"directives\": []}]}"),
        };
        ProtoWork work = {};
        const ProtoAssignment *a;

        ok_int(json_decode(text, strlen(text), proto_work_fields, JSON_IGNORE_UNKNOWN, &work, NULL),
               0);
        ok_int(work.start.count, 1);
        a = work.start.items;
        ok_int(a ? a->epoch : 0, 3);
        ok_str(a && a->directives ? a->directives[1] : NULL, "/bin/true");
        ok_str(work.clean ? work.clean[0] : NULL, "x");
        json_done(proto_work_fields, &work);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                printf("# %s\n", bad[i]);
                ok_true(json_decode(bad[i], strlen(bad[i]), proto_work_fields, JSON_IGNORE_UNKNOWN,
                                    &work, NULL) < 0);
                json_done(proto_work_fields, &work);
        }
}

static void on_attempt(Attempt *attempt, void *userdata) {
        (void) attempt;
        (void) userdata;
}

static void test_what_an_answer_makes_is_bounded(void) {
        static const AttemptEvents events = { .on_changed = on_attempt };
        char ids[3][ID_TEXT_SIZE];
        ProtoStop stop[3] = {};
        ProtoWork work = { .stop = { stop, ELEMENTSOF(stop) } };
        Agentd a = {};
        Attempt *attempt;
        int r = 0;

        ok_int(contact_new(NULL, NULL, "", 0, NULL, NULL, NULL, &a.contact), 0);
        ok_int(attempt_table_new(NULL, NULL, "", &events, NULL, &a.attempts), 0);
        for (unsigned i = 1; r >= 0 && i < PROTO_ATTEMPTS_MAX; i++)
                r = attempt_new(a.attempts, id_to_text(id_of(i), ids[0]), 1, ATTEMPT_READING,
                                &attempt);
        ok_int(r, 0);
        for (unsigned i = 0; i < ELEMENTSOF(stop); i++) {
                (void) id_to_text(id_of(PROTO_ATTEMPTS_MAX + i), ids[i]);
                stop[i] = (ProtoStop){ .attempt = ids[i], .epoch = 1 };
        }
        agentd_on_work(&work, 0, &a);
        ok_int(attempt_count(a.attempts), PROTO_ATTEMPTS_MAX);
        (void) attempt_table_free(a.attempts);
        (void) contact_free(a.contact);
}

int main(void) {
        RUN(test_past_is_remembered);
        RUN(test_past_is_bounded);
        RUN(test_systemd_versions);
        RUN(test_supervision_is_news_once);
        RUN(test_identity_is_kept);
        RUN(test_workspaces_are_named_by_run);
        RUN(test_a_run_waits_for_its_old_workspace_to_go);
        RUN(test_offers_are_bounded);
        RUN(test_answers_are_decoded);
        RUN(test_what_an_answer_makes_is_bounded);
        return tap_done();
}
