/* The base of common/: str, strv, parse, timespan, id, backoff, fileio, config. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "backoff.h"
#include "config.h"
#include "fileio.h"
#include "id.h"
#include "parse.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "unit-name.h"

static void test_parse(void) {
        uint64_t n = 7;
        bool b = false;

        ok_int(parse_u64("18446744073709551615", &n), 0);
        ok_true(n == UINT64_MAX);
        ok_int(parse_u64("18446744073709551616", &n), -ERANGE);
        ok_int(parse_u64("-1", &n), -EINVAL);
        ok_int(parse_u64(" 1", &n), -EINVAL);
        ok_int(parse_u64("1x", &n), -EINVAL);
        ok_int(parse_u64("", &n), -EINVAL);
        ok_int(parse_size("1.5G", &n), 0);
        ok_int(n, 1610612736);
        ok_int(parse_size("64M", &n), 0);
        ok_int(n, 67108864);
        ok_int(parse_size("16E", &n), -ERANGE);
        ok_int(parse_size("5MB", &n), -EINVAL);
        ok_int(n, 67108864);
        ok_int(parse_bool("On", &b), 0);
        ok_true(b);
        ok_int(parse_bool("maybe", &b), -EINVAL);
}

static void test_timespan(void) {
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "5", 5 * USEC_PER_SEC },       { "5min 20s", 320 * USEC_PER_SEC },
                { "1.5h", 5400 * USEC_PER_SEC }, { "250ms", 250 * USEC_PER_MSEC },
                { "infinity", USEC_INFINITY },   { "2 days", 2 * USEC_PER_DAY },
                { "1m5s", 65 * USEC_PER_SEC },   { "0", 0 },
        };
        static const char *const bad[] = { "",    "abc", "5 parsecs",
                                           "-1s", "1.",  "99999999999999y",
                                           "5s x" };
        char text[TIMESPAN_TEXT_MAX];
        uint64_t usec = 42;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                ok_int(timespan_parse(good[i].text, &usec), 0);
                ok_true(usec == good[i].usec);
        }
        usec = 42;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ok_true(timespan_parse(bad[i], &usec) < 0);
        ok_int(usec, 42);
        ok_str(timespan_format(90 * USEC_PER_SEC, text), "1min 30s");
        ok_str(timespan_format(250 * USEC_PER_MSEC, text), "250ms");
        ok_str(timespan_format(0, text), "0");
        ok_str(timespan_format(999, text), "999us");
        ok_str(timespan_format(999499, text), "999ms");
        ok_str(timespan_format(999999, text), "1s");
        ok_str(timespan_format(59999999, text), "60s");
        ok_str(timespan_format(USEC_INFINITY, text), "infinity");
        ok_str(timespan_format(USEC_INFINITY - 1, text), "213503982d 8h");
}

static void test_id(void) {
        char text[ID_TEXT_SIZE], hex[ID_HEX_SIZE], secret[SECRET_TEXT_MAX];
        Id a, b;

        ok_int(id_random(&a), 0);
        ok_int(id_parse(id_to_text(a, text), &b), 0);
        ok_true(id_equal(a, b));
        ok_int(id_parse(id_to_hex(a, hex), &b), 0);
        ok_true(id_equal(a, b));
        ok_int(id_parse("550e8400-e29b-41d4-a716-44665544000g", &b), -EINVAL);
        ok_int(id_parse("550e8400e29b41d4a716446655440000x", &b), -EINVAL);
        ok_int(id_parse("", &b), -EINVAL);
        ok_int(secret_generate("sluice_tk_", secret), 0);
        ok_int(strlen(secret), 53);
}

static void test_str(void) {
        _cleanup_(strv_freep) char **v = NULL;
        _cleanup_(freep) char *joined = NULL, *nothing = NULL;
        char spaced[] = "  a b\n";
        Buffer b = {};

        ok_str(str_strip(spaced), "a b");
        ok_true(str_is_utf8("\xe2\x82\xac", 3));
        ok_true(!str_is_utf8("\xc0\x80", 2));
        ok_true(!str_is_utf8("\xed\xa0\x80", 3));
        ok_true(!str_is_utf8("\xe2\x82", 2));
        ok_int(str_distance("MemoryMax", "memorymx"), 1);
        ok_int(strv_split(" a, b ,,c", ",", &v), 0);
        ok_int(strv_length(v), 3);
        ok_str(v[1], "b");
        joined = strv_join(v, "; ");
        ok_str(joined, "a; b; c");
        nothing = strv_join(NULL, "; ");
        ok_str(nothing, "");
        ok_int(buffer_printf(&b, "%d-%s", 12, "x"), 0);
        ok_str(b.data, "12-x");
        buffer_done(&b);
}

static void test_backoff(void) {
        Backoff b = { .first_usec = 100, .limit_usec = 1000 };

        for (int i = 0; i < 70; i++) {
                uint64_t delay = backoff_next_usec(&b);

                ok_true(delay >= 50 && delay <= 1000);
        }
        b = (Backoff){ .first_usec = 100, .limit_usec = 1000 };
        ok_true(backoff_next_asked_usec(&b, 0) <= 100);
        ok_true(backoff_next_asked_usec(&b, 5) >= 5 * USEC_PER_SEC);
        ok_true(backoff_next_asked_usec(&b, 86400) <= 61 * USEC_PER_SEC);
}

typedef struct Settings {
        char *name;
        uint32_t workers;
        char **labels;
} Settings;

static const ConfigField settings_fields[] = {
        { "Main", "Name", "name", CONFIG_TEXT, offsetof(Settings, name), "nobody" },
        { "Main", "Workers", "workers", CONFIG_U32, offsetof(Settings, workers), "2", 1, 64 },
        { "Main", "Labels", "labels", CONFIG_LIST, offsetof(Settings, labels), "" },
        {},
};

static void test_config_layers(void) {
        _cleanup_(config_freep) Config *c = NULL;
        char path[] = "/tmp/test-base-XXXXXX";
        static const char text[] =
                "# comment\n[Main]\nName = file\nWorkers=3\nLabels=region=eu west, warehouse\n";
        Settings s = {};
        Error e = {};
        int fd = mkstemp(path);

        ok_true(fd >= 0);
        (void) close(fd);
        ok_int(file_write_atomic(path, text, strlen(text), 0600), 0);
        ok_int(config_new(settings_fields, &c), 0);
        ok_int(config_read_file(c, path, true, &e), 0);
        (void) setenv("SLUICE_WORKERS", "5", 1);
        ok_int(config_read_environment(c, &e), 0);
        ok_int(config_read_argument(c, "--name=argument", &e), 1);
        ok_int(config_read_argument(c, "--nothing=1", &e), 0);
        ok_int(config_read_argument(c, "--workers=65", &e), -ERANGE);
        ok_contains(e.detail, "between 1 and 64");
        ok_int(config_store(c, &s, &e), 0);
        ok_str(s.name, "argument");
        ok_int(s.workers, 5);
        ok_str(s.labels[0], "region=eu west");
        config_clear(settings_fields, &s);

        ok_int(file_write_atomic(path, "[Main]\nWorkers=x\n", 17, 0600), 0);
        ok_int(config_read_file(c, path, true, &e), -EINVAL);
        ok_contains(e.detail, ":2: Workers=x is not");
        (void) unlink(path);
        ok_int(config_read_file(c, path, true, &e), -ENOENT);
        ok_int(config_read_file(c, path, false, &e), 0);
}

static void test_secret_file(void) {
        _cleanup_(freep) char *secret = NULL;
        char path[] = "/tmp/test-base-XXXXXX";
        int fd = mkstemp(path);

        (void) close(fd);
        ok_int(file_write_atomic(path, "key\n", 4, 0644), 0);
        ok_int(file_read_secret(path, 100, &secret), -EPERM);
        ok_int(chmod(path, 0640), 0);
        ok_int(file_read_secret(path, 100, &secret), 0);
        ok_str(secret, "key");
        ok_int(file_read_secret(path, 2, &secret), -EFBIG);
        (void) unlink(path);
}

#define HEX_ID "0123456789abcdef0123456789abcde7"

static void test_unit_names_are_of_one_instance(void) {
        static const char *const bad[] = { "sluice-" HEX_ID,
                                           "sluice-" HEX_ID "0.service",
                                           "sluice-a-" HEX_ID ".service",
                                           "sluice-Blue-" HEX_ID ".service",
                                           "sluice-blue-green-" HEX_ID ".service",
                                           "sluice-clean." HEX_ID ".service",
                                           "sluice--" HEX_ID ".service",
                                           "sluice-lease.target",
                                           "sluice-",
                                           "sluice-blue-7-" HEX_ID ".service" };
        char id[UNIT_ID_SIZE];
        UnitName u = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ok_int(unit_name_from_service(bad[i], &u), false);
        ok_str(u.hex, "");
        ok_true(unit_name_from_service("sluice-" HEX_ID ".service", &u));
        ok_str(u.instance, "");
        ok_true(unit_name_from_service("sluice-blue-" HEX_ID ".service", &u));
        ok_str(u.instance, "blue");
        ok_str(unit_id(u.instance, u.hex, id), "blue-" HEX_ID);
        ok_true(unit_name_from_slice("sluice-7-" HEX_ID ".slice", &u));
        ok_str(u.instance, "");
        ok_true(unit_name_from_slice("sluice-blue-7-" HEX_ID ".slice", &u));
        ok_str(u.instance, "blue");
        ok_int(unit_name_from_slice("sluice-blue-8-" HEX_ID ".slice", &u), false);
        ok_int(unit_name_from_slice("sluice-blue-" HEX_ID ".slice", &u), false);
        ok_int(unit_name_from_slice("sluice-7.slice", &u), false);
}

static void test_unit_names_are_made_and_read(void) {
        static const struct {
                const char *id, *service, *slice, *cgroup;
        } rows[] = {
                { HEX_ID, "sluice-" HEX_ID ".service", "sluice-7-" HEX_ID ".slice",
                  "/sluice-7.slice/sluice-7-" HEX_ID ".slice" },
                { "blue_2-" HEX_ID, "sluice-blue_2-" HEX_ID ".service",
                  "sluice-blue_2-7-" HEX_ID ".slice",
                  "/sluice-blue_2.slice/sluice-blue_2-7.slice/sluice-blue_2-7-" HEX_ID ".slice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                UnitName u = {}, back = {};
                _cleanup_(freep) char *service = NULL, *slice = NULL, *cgroup = NULL;

                ok_true(unit_name_from_id(rows[i].id, &u));
                service = unit_name_service(&u);
                slice = unit_name_slice(&u);
                cgroup = unit_name_cgroup(&u);
                ok_str(service, rows[i].service);
                ok_str(slice, rows[i].slice);
                ok_str(cgroup, rows[i].cgroup);
                ok_true(unit_name_from_service(service, &back));
                ok_str(back.instance, u.instance);
                ok_true(unit_name_from_slice(slice, &back));
                ok_str(back.hex, u.hex);
        }
}

int main(void) {
        RUN(test_parse);
        RUN(test_timespan);
        RUN(test_id);
        RUN(test_str);
        RUN(test_backoff);
        RUN(test_config_layers);
        RUN(test_secret_file);
        RUN(test_unit_names_are_of_one_instance);
        RUN(test_unit_names_are_made_and_read);
        return tap_done();
}
