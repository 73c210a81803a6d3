/* What makes one call of many requests, and tells of whom nobody heard: every part gets its own answer, once. */
#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "absent.h"
#include "batch.h"
#include "cleanup.h"
#include "str.h"
#include "timespan.h"
#include "../lib/fake-pg.h"
#include "../lib/tap.h"

#define ITEMS 120

static const Statement statements[] = { { "many", "SELECT $1, $2", 2 }, {} };
static const char *directory;
static const unsigned char auth[BATCH_AUTH_SIZE];

typedef struct Part {
        BatchItem item; /* first: the callback has nothing else */
        int done, r, row;
        bool unknown;
} Part;

static sd_event *event;
static Pg *pg;
static bool ready;
static Part parts[ITEMS];

static void on_ready(bool now, void *userdata) {
        (void) userdata;
        ready = now;
}

static void on_done(BatchItem *item, const PgReply *reply, int row) {
        Part *p = (Part *) item;

        p->done++;
        p->r = reply->r;
        p->row = row;
        p->unknown = reply->unknown;
}

static bool is_ready(void) {
        return ready;
}

static unsigned n_added;

static bool all_done(void) {
        for (unsigned i = 0; i < n_added; i++)
                if (parts[i].done == 0)
                        return false;
        return true;
}

static bool happens(bool (*what)(void), uint64_t within_usec) {
        uint64_t now, end;

        (void) sd_event_now(event, CLOCK_MONOTONIC, &end);
        end += within_usec;
        do {
                if (what())
                        return true;
                (void) sd_event_run(event, 20 * USEC_PER_MSEC);
                (void) sd_event_now(event, CLOCK_MONOTONIC, &now);
        } while (now < end);
        return false;
}

static bool never(void) {
        return false;
}

static void begin(void) {
        _cleanup_(freep) char *conninfo = str_format("host=%s user=u dbname=d", directory);

        ready = false;
        n_added = 0;
        (void) memset(parts, 0, sizeof(parts));
        ok_int(sd_event_new(&event), 0);
        ok_int(pg_new(event,
                      &(PgOptions){ .conninfo = conninfo,
                                    .statements = statements,
                                    .timeout_msec = FAKE_TIMEOUT_MSEC,
                                    .lease_msec = 90000 },
                      on_ready, NULL, &pg),
               0);
        ok_true(happens(is_ready, 10 * USEC_PER_SEC));
}

static void end(pid_t server) {
        pg = pg_free(pg);
        event = sd_event_unref(event);
        fake_pg_end(server);
}

static void add(Batches *b) {
        Part *p = &parts[n_added++];

        p->item = (BatchItem){ .auth = auth, .json = "{}", .done = on_done };
        if (batch_add(b, &statements[0], &p->item) < 0)
                ok_true(false);
}

static void test_parts_get_their_rows(void) {
        pid_t server;
        unsigned before = fake_pg_calls();
        Batches *b;

        fake_pg_rows = "31";
        server = fake_pg_start(FAKE_ANSWERS);
        begin();
        ok_int(batches_new(event, pg, &b), 0);
        for (unsigned i = 0; i < 3; i++)
                add(b);
        ok_true(happens(all_done, 10 * USEC_PER_SEC));
        ok_int(fake_pg_calls() - before, 1);
        ok_int(parts[0].row, 1);
        ok_int(parts[2].row, 0);
        ok_int(parts[1].row, -1); /* it has no row: it is to be made alone */
        ok_int(parts[1].r, 0);
        (void) batches_free(b);
        end(server);
}

static void test_more_wait_for_the_next_call(void) {
        pid_t server;
        unsigned before = fake_pg_calls();
        Batches *b;

        fake_pg_rows = "1";
        server = fake_pg_start(FAKE_ANSWERS);
        begin();
        ok_int(batches_new(event, pg, &b), 0);
        for (unsigned i = 0; i < ITEMS; i++)
                add(b);
        batch_item_unlink(&parts[5].item); /* waits */
        parts[5].done = -1;
        (void) sd_event_run(event, 0);
        batch_item_unlink(&parts[7].item); /* was sent, or waits */
        parts[7].done = -1;
        ok_true(happens(all_done, 10 * USEC_PER_SEC));
        ok_int(fake_pg_calls() - before, 2);
        ok_int(parts[5].done, -1);
        ok_int(parts[7].done, -1);
        for (unsigned i = 0; i < ITEMS; i++)
                if (i != 5 && i != 7 && parts[i].done != 1)
                        ok_int(parts[i].done, 1);
        (void) batches_free(b);
        end(server);
}

static void fails(FakeManner manner, int r, bool unknown) {
        pid_t server = fake_pg_start(manner);
        Batches *b;

        begin();
        ok_int(batches_new(event, pg, &b), 0);
        add(b);
        add(b);
        ok_true(happens(all_done, 10 * USEC_PER_SEC));
        for (unsigned i = 0; i < 2; i++) {
                ok_int(parts[i].row, -1);
                ok_int(parts[i].r, r);
                ok_int(parts[i].unknown, unknown);
        }
        (void) batches_free(b);
        end(server);
}

static void test_what_may_have_been_done_is_not_done_alone(void) {
        fails(FAKE_SILENT_LATER, -ENOTCONN, true);
        fake_pg_refusal = "57014"; /* it took too long, and was undone */
        fails(FAKE_REFUSES, -ETIMEDOUT, false);
        fake_pg_refusal = "22P02"; /* one of them is wrong: each finds out */
        fails(FAKE_REFUSES, 0, false);
        fake_pg_refusal = "40P01"; /* a deadlock, which others may not have */
        fails(FAKE_REFUSES, 0, false);
}

static unsigned told_before;

static bool is_told(void) {
        return fake_pg_calls() > told_before;
}

static void test_who_is_back_in_time_is_not_told_of(void) {
        pid_t server = fake_pg_start(FAKE_ANSWERS);
        Absent *a;

        begin();
        told_before = fake_pg_calls();
        ok_int(absent_new(event, pg, 200 * USEC_PER_MSEC, &a), 0);
        absent_broke(a, "00000000-0000-0000-0000-000000000001");
        absent_back(a, "00000000-0000-0000-0000-000000000001");
        ok_true(!happens(never, 700 * USEC_PER_MSEC));
        ok_true(!is_told());
        absent_broke(a, "00000000-0000-0000-0000-000000000001");
        absent_broke(a, "00000000-0000-0000-0000-000000000002");
        absent_broke(a, "00000000-0000-0000-0000-000000000001");
        ok_true(happens(is_told, 10 * USEC_PER_SEC));
        ok_true(!happens(never, 700 * USEC_PER_MSEC));
        ok_int(fake_pg_calls() - told_before, 1); /* together, and once */
        (void) absent_free(a);
        end(server);
}

int main(void) {
        directory = fake_pg_listen();
        if (!directory)
                return 1;
        (void) alarm(60); /* a loop that never ends is a failure too */
        RUN(test_parts_get_their_rows);
        RUN(test_more_wait_for_the_next_call);
        RUN(test_what_may_have_been_done_is_not_done_alone);
        RUN(test_who_is_back_in_time_is_not_told_of);
        fake_pg_close();
        return tap_done();
}
