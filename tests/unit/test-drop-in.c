/* A unit as systemd.unit(5) and systemd.service(5) want it in a file. That PID 1 reads them back as they were is seen in the lab. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drop-in.h"
#include "fileio.h"
#include "str.h"
#include "../lib/tap.h"

typedef struct Line {
        const char *name, *value;
} Line;

static void decode(const Line *lines, size_t n, Atoms *a) {
        Error e = {};

        for (size_t i = 0; i < n; i++)
                ok_int(directive_decode(directive_find(lines[i].name), lines[i].value, a, &e), 0);
}

static void check(const Line *lines, size_t n, const char *wanted) {
        _cleanup_(freep) char *text = NULL;
        Atoms a = {};

        decode(lines, n, &a);
        ok_int(drop_in_format(&a, &text), 0);
        if (wanted)
                ok_str(text, wanted);
        else
                ok_null(text);
        atoms_done(&a);
}

#define CHECK(wanted, ...)                                                                         \
        check((Line[]){ __VA_ARGS__ }, sizeof((Line[]){ __VA_ARGS__ }) / sizeof(Line), wanted)

static void test_commands_that_are_read_back_as_they_are_need_none(void) {
        CHECK(NULL, { "ExecStart", "/bin/sh -c \"echo 'a b' \\\\\\\\ && 5%\"" },
              { "Environment", "A=$B;" });
        CHECK(NULL, { "ExecStartPre", "" }, { "ExecStart", "/bin/true" });
}

static void test_words_are_quoted(void) {
        CHECK("[Service]\nExecStart=\nExecStart=@\"/bin/sh\" \"/bin/sh\" \"-c\" \"a; \\\"$b\\\" "
              "5%% \\\\\"\n",
              { "ExecStart", "/bin/sh -c \"a; \\\"$b\\\" 5% \\\\\"" });
        CHECK("[Service]\nExecStart=\nExecStart=-@\"/bin/a\" \"/bin/a\" \"$x\" \"\\x0a\\x09é\"\n",
              { "ExecStart", "-/bin/a $x \\n\\té" });
        CHECK("[Service]\nExecStart=\nExecStart=@\"/bin/a\" \"/bin/a\" \"$$x\" \"\"\n",
              { "ExecStart", ":/bin/a $x ''" });
}

/* All of them, since any line of the name forgets those before it. */
static void test_commands_around_it_are_said_as_well(void) {
        CHECK("[Service]\nExecStartPre=\nExecStartPre=@\"/bin/a\" \"/bin/a\"\n"
              "ExecStartPre=-@\"/bin/b\" \"/bin/b\" \"$x\"\nExecStart=\nExecStart=@\"/bin/c\" "
              "\"/bin/c\"\n",
              { "ExecStartPre", "/bin/a" }, { "Nice", "5" }, { "ExecStartPre", "-/bin/b $x" },
              { "ExecStart", "/bin/c" });
        CHECK("[Service]\nExecStartPre=\nExecStartPre=@\"/bin/a\" \"/bin/a\" "
              "\"$x\"\nExecStartPre=\n",
              { "ExecStartPre", "/bin/a $x" }, { "ExecStartPre", "" });
}

static void test_files_come_and_go_with_their_directory(void) {
        static char root[] = "/tmp/sluice-test-drop-in-XXXXXX";
        _cleanup_(freep) char *directory = NULL, *path = NULL, *text = NULL;
        UnitSpec s = {};

        ok_true(mkdtemp(root));
        directory = str_format("%s/sluice-1.service.d", root);
        path = str_format("%s/commands.conf", directory);
        ok_int(str_replace(&s.unit, "sluice-1.service"), 0);
        decode(&(Line){ "ExecStart", "/bin/a" }, 1, &s.properties);
        ok_int(drop_in_write(root, &s), 0);
        ok_int(access(directory, F_OK), -1);
        decode(&(Line){ "ExecStartPre", "/bin/b $x" }, 1, &s.properties);
        ok_int(drop_in_write(root, &s), 0);
        ok_int(drop_in_write(root, &s), 0); /* the call is repeated when its answer is lost */
        ok_int(file_read(path, 4096, &text, NULL), 0);
        ok_contains(text, "ExecStartPre=@\"/bin/b\" \"/bin/b\" \"$x\"\n");
        free(path);
        free(text);
        path = str_format("%s/started.conf", directory);
        ok_int(drop_in_write_started(root, s.unit), 0);
        ok_int(file_read(path, 4096, &text, NULL), 0);
        ok_str(text, "[Unit]\nRefuseManualStart=yes\n");
        ok_int(drop_in_write(root, &s), 0); /* the unit was gone, and is asked for again */
        ok_int(access(path, F_OK), -1);
        ok_int(drop_in_write_started(root, s.unit), 0);
        drop_in_remove(root, s.unit);
        ok_int(access(directory, F_OK), -1);
        drop_in_remove(root, s.unit);
        ok_int(rmdir(root), 0);
        ok_int(drop_in_write(root, &s), -ENOENT);
        spec_done(&s);
}

int main(void) {
        RUN(test_commands_that_are_read_back_as_they_are_need_none);
        RUN(test_words_are_quoted);
        RUN(test_commands_around_it_are_said_as_well);
        RUN(test_files_come_and_go_with_their_directory);
        return tap_done();
}
