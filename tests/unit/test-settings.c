/* What controld.conf may say, beyond what its table of types refuses. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "settings.h"
#include "../lib/tap.h"

static int load(const char *argument, Settings *s, Error *e) {
        char *argv[] = { (char *) "controld", (char *) argument, NULL };
        int argc = 2;

        return settings_load(s, "/dev/null", &argc, argv, e);
}

static void test_bad_values_are_refused(void) {
        static const struct {
                const char *argument, *words;
        } bad[] = {
                { "--statement-timeout=0", "StatementTimeoutSec=" },
                { "--statement-timeout=infinity", "StatementTimeoutSec=" },
                { "--statement-timeout=30d", "StatementTimeoutSec=" },
                { "--peer-timeout=3s", "PeerTimeoutSec=" },
                { "--absence-grace=2h", "AbsenceGraceSec=" },
                { "--lease=60s", "LeaseSec=" },
                { "--workers=0", "Workers=" },
                { "--workers=65", "Workers=" },
                { "--workers=", "Workers=" },
                { "--state-directory=relative", "StateDirectory=" },
                { "--listen=", "Listen=" },
                { "--database=", "Database=" },
                { "--log-level=loud", "LogLevel=" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Settings s = {};
                Error e = {};

                printf("# %s\n", bad[i].argument);
                ok_int(load(bad[i].argument, &s, &e), -EINVAL);
                ok_contains(e.detail, bad[i].words);
                settings_done(&s);
        }
}

static void test_what_follows(void) {
        _cleanup_(freep) char *conninfo = NULL;
        Settings s = {};
        Error e = {};

        ok_int(load("--runtime-directory=/r", &s, &e), 0);
        ok_true(settings_embedded(&s));
        ok_true(settings_workers(&s) >= 1);
        ok_str(s.private_key_file, "/var/lib/sluice-controld/tls/server.key");
        conninfo = settings_conninfo(&s);
        ok_contains(conninfo, "host='/r/postgresql'");
        settings_done(&s);
}

int main(void) {
        RUN(test_bad_values_are_refused);
        RUN(test_what_follows);
        return tap_done();
}
