/* Layers of configuration, and what is said about bad ones. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "fileio.h"
#include "str.h"
#include "strv.h"
#include "../lib/tap.h"

typedef struct Target {
        char *text;
        bool flag;
        uint32_t number;
        uint64_t size, span;
        char **words, **list;
} Target;

static const ConfigField fields[] = {
        { "Test", "Text", "unit-text", CONFIG_TEXT, offsetof(Target, text), "fallback" },
        { "Test", "Flag", "unit-flag", CONFIG_BOOL, offsetof(Target, flag), "no" },
        { "Test", "Number", "unit-number", CONFIG_U32, offsetof(Target, number), "7", 1, 10 },
        { "Test", "Size", "unit-size", CONFIG_SIZE, offsetof(Target, size), "1K" },
        { "Test", "Span", "unit-span", CONFIG_SPAN, offsetof(Target, span), "1min" },
        { "Test", "Words", "unit-words", CONFIG_STRV, offsetof(Target, words), "" },
        { "Test", "List", "unit-list", CONFIG_LIST, offsetof(Target, list), "" },
        {},
};

static char directory[] = "/tmp/sluice-test-config-XXXXXX";

static void write_file(const char *name, const char *text) {
        _cleanup_(freep) char *path = str_format("%s/%s", directory, name);

        ok_int(file_write_atomic(path, text, strlen(text), 0644), 0);
}

/* Reads file, environment and one argument, as programs do. */
static int load(const char *argument, Target *t, Error *e) {
        _cleanup_(freep) char *path = str_format("%s/test.conf", directory);
        _cleanup_(config_freep) Config *c = NULL;
        int r = config_new(fields, &c);

        if (r >= 0)
                r = config_read_file(c, path, true, e);
        if (r >= 0)
                r = config_read_environment(c, e);
        if (r >= 0 && argument)
                r = config_read_argument(c, argument, e);
        return r < 0 ? r : config_store(c, t, e);
}

static void test_later_layers_win(void) {
        Target t = {};
        Error e = {};

        write_file("test.conf", "[Test]\nText=main\nNumber=2\nSize=2M\nSpan=90\nList=a=b, c\n");
        write_file("test.conf.d/20-b.conf", "[Test]\nNumber=4\n");
        write_file("test.conf.d/10-a.conf", "[Test]\nNumber=3\nFlag=yes\n");
        write_file("test.conf.d/30-not-conf.txt", "[Test]\nNumber=9\n");
        ok_int(load(NULL, &t, &e), 0);
        ok_str(t.text, "main");
        ok_int(t.number, 4);
        ok_true(t.flag);
        ok_int(t.size, 2 << 20);
        ok_int(t.span, 90000000);
        ok_int(strv_length(t.list), 2);
        ok_str(t.list ? t.list[0] : NULL, "a=b");
        config_clear(fields, &t);

        ok_int(setenv("SLUICE_UNIT_NUMBER", "5", 1), 0);
        ok_int(load(NULL, &t, &e), 0);
        ok_int(t.number, 5);
        config_clear(fields, &t);
        ok_int(load("--unit-number=6", &t, &e), 0);
        ok_int(t.number, 6);
        config_clear(fields, &t);
        ok_int(unsetenv("SLUICE_UNIT_NUMBER"), 0);
}

static void test_bad_values_name_their_place(void) {
        static const struct {
                const char *text, *words;
        } bad[] = {
                { "[Test]\nNumber=0\n", "test.conf:2" }, { "[Test]\n\nNumber=11\n", "test.conf:3" },
                { "[Test]\nNumber=x\n", "Number" },      { "[Test]\nFlag=perhaps\n", "Flag" },
                { "[Test]\nSize=1Q\n", "Size" },         { "[Test]\nSpan=soon\n", "Span" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(freep) char *path = str_format("%s/test.conf", directory);
                _cleanup_(config_freep) Config *c = NULL;
                Target t = {};
                Error e = {};
                int r;

                write_file("test.conf", bad[i].text);
                ok_int(config_new(fields, &c), 0);
                r = config_read_file(c, path, true, &e);
                if (r >= 0)
                        r = config_store(c, &t, &e);
                ok_true(r < 0);
                ok_contains(e.detail, bad[i].words);
                config_clear(fields, &t);
        }
}

/* What is there and cannot be read must not count as nothing. */
static void test_drop_ins_that_cannot_be_read(void) {
        _cleanup_(freep) char *path = str_format("%s/odd.conf", directory);
        _cleanup_(freep) char *drop_ins = str_format("%s.d", path);
        _cleanup_(config_freep) Config *c = NULL;
        Error e = {};

        write_file("odd.conf", "");
        write_file("odd.conf.d", "");
        ok_int(config_new(fields, &c), 0);
        ok_int(config_read_file(c, path, true, &e), -ENOTDIR);
        ok_contains(e.detail, "odd.conf.d");
        (void) unlink(path);
        (void) unlink(drop_ins);
}

int main(void) {
        _cleanup_(freep) char *drop_ins = NULL;

        if (!mkdtemp(directory))
                return 1;
        drop_ins = str_format("%s/test.conf.d", directory);
        ok_int(mkdir(drop_ins, 0755), 0);
        RUN(test_later_layers_win);
        RUN(test_bad_values_name_their_place);
        RUN(test_drop_ins_that_cannot_be_read);
        for (size_t i = 0; i < 4; i++) {
                static const char *const files[] = { "test.conf", "test.conf.d/10-a.conf",
                                                     "test.conf.d/20-b.conf",
                                                     "test.conf.d/30-not-conf.txt" };
                _cleanup_(freep) char *path = str_format("%s/%s", directory, files[i]);

                (void) unlink(path);
        }
        (void) rmdir(drop_ins);
        (void) rmdir(directory);
        return tap_done();
}
