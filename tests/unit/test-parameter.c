/* Regular expressions, types of parameters, secrets, and what becomes of references. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "directive.h"
#include "fileio.h"
#include "parameter.h"
#include "pattern.h"
#include "pipe.h"
#include "secret.h"
#include "str.h"
#include "strv.h"
#include "substitute.h"
#include "task-output.h"

static char *read_source(const char *name) {
        const char *top = getenv("top_srcdir");
        _cleanup_(freep) char *path = str_format("%s/%s", top ? top : ".", name);
        char *text = NULL;
        size_t size;

        ok_true(path && file_read(path, 1024 * 1024, &text, &size) >= 0);
        return text;
}

static void pattern_is(const char *pattern, const char *value, const char *want) {
        _cleanup_(pattern_freep) Pattern *p = NULL;
        Error e = {};
        int r = pattern_compile(pattern, &p, &e);

        printf("# %s on %s\n", pattern, value);
        ok_int(r < 0 ? 'x' : '0' + pattern_match(p, value), *want);
        ok_true(r >= 0 || e.detail[0]);
}

/* The same table that PostgreSQL is asked, in tests/sql/22-parameters.sql. */
static void test_patterns(void) {
        _cleanup_(freep) char *table = read_source("tests/lib/patterns.tsv");

        for (char *rest = table, *line; (line = strsep(&rest, "\n")) && *line;) {
                const char *pattern = strsep(&line, "\t"), *value = strsep(&line, "\t");

                pattern_is(pattern, value, line);
        }
}

/* A minute of backtracking would be a second's work for nobody. */
static void test_hostile_patterns(void) {
        char value[4097];

        (void) memset(value, 'a', sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        pattern_is("^(a+)+$", value, "1");
        pattern_is("^(a*)*b$", value, "0");
        pattern_is("^(a|aa)+b$", value, "0");
        pattern_is("(.*)(.*)(.*)(.*)(.*)b", value, "0");
        pattern_is("(((a?){9}){9}){9}b", value, "0");
}

static void value_is(const ParameterRule *rule, const char *value, bool good) {
        Error e = {};
        int r = parameter_value_check(rule, value, &e);

        printf("# %s: %s %s\n", rule->type ? rule->type : "string", value, e.detail);
        ok_int(r >= 0, good);
}

static void test_types(void) {
        static const struct {
                const char *type, *good, *bad; /* values with spaces between */
        } rows[] = {
                { "integer", "0 -1 007 999999999999999999",
                  "1.0 +1 - 1e3 9999999999999999999 0x1" },
                { "number", "0 -1.5 000.500 123456789012345.123456789012345", ". 1. .5 1e3 nan -" },
                { "boolean", "true false", "yes 1 True TRUE" },
                { "date", "2024-02-29 0001-01-01 9999-12-31 2000-02-29 today yesterday tomorrow",
                  "2023-02-29 1900-02-29 2024-13-01 2024-00-01 2024-01-00 2024-04-31 24-01-01 "
                  "0000-01-01 2024-01-01x now Today" },
                { "datetime",
                  "2024-02-29T00:00:00Z 2024-02-29T23:59:59.123456+14:00 2024-02-29T00:00:00-00:30 "
                  "today",
                  "2024-02-29 2024-02-30T00:00:00Z 2024-02-29T24:00:00Z 2024-02-29T00:60:00Z "
                  "2024-02-29T00:00:60Z 2024-02-29T00:00:00 2024-02-29T00:00:00+15:00 "
                  "2024-02-29T00:00:00.1234567Z 2024-02-29t00:00:00Z" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const ParameterRule rule = { .type = rows[i].type };
                _cleanup_(strv_freep) char **good = NULL, **bad = NULL;

                ok_true(strv_split(rows[i].good, " ", &good) >= 0 &&
                        strv_split(rows[i].bad, " ", &bad) >= 0);
                STRV_FOREACH(v, good)
                        value_is(&rule, *v, true);
                STRV_FOREACH(v, bad)
                        value_is(&rule, *v, false);
                value_is(&rule, "", false);
        }
        value_is(&(ParameterRule){}, "", true);
        value_is(&(ParameterRule){}, "any \n text \x01", true);
        value_is(&(ParameterRule){}, "\xff", false);
}

static void test_limits(void) {
        static const struct {
                const char *type, *low, *value, *high;
                bool good;
        } rows[] = {
                { "integer", "-5", "-5", "5", true },
                { "integer", "-5", "-6", "5", false },
                { "integer", "9", "10", NULL, true },
                { "integer", NULL, "007", "7", true },
                { "integer", "0", "-0", "0", true },
                { "integer", NULL, "8", "7", false },
                { "number", "1.5", "1.50", "1.5", true },
                { "number", "1.5", "1.49", NULL, false },
                { "number", "-1.5", "-1.51", NULL, false },
                { "number", "-1", "-0.5", "0", true },
                { "number", NULL, "0.01", "0", false },
                { "date", "2024-01-01", "2023-12-31", NULL, false },
                { "date", "2024-01-01", "today", NULL, true },
                { "datetime", "2024-01-01T00:00:00Z", "2024-01-01T00:30:00+01:00", NULL, false },
                { "datetime", "2024-01-01T00:00:00Z", "2023-12-31T23:30:00-01:00", NULL, true },
                { "datetime", NULL, "2024-03-01T00:00:00Z", "2024-02-29T23:59:59.999999Z", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                value_is(&(ParameterRule){ .type = rows[i].type,
                                           .minimum = rows[i].low,
                                           .maximum = rows[i].high },
                         rows[i].value, rows[i].good);
        value_is(&(ParameterRule){ .type = "list", .pattern = "^[a-z]+$" }, "a,bc", true);
        value_is(&(ParameterRule){ .type = "list", .pattern = "^[a-z]+$" }, "a,b c", false);
        value_is(&(ParameterRule){ .type = "list", .pattern = "^[a-z]+$" }, "", true);
}

static void test_secrets(void) {
        static const char *const bad[] = {
                "-----BEGIN RSA PRIVATE KEY-----\nMII",
                "AKIAIOSFODNN7EXAMPLE",
                "id=ASIAIOSFODNN7EXAMPLE;",
                "ghp_0123456789012345678901234567890123456789",
                "glpat-01234567890123456789",
                "xoxb-0123456789",
                "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF",
                "sluice_tk_0123456789012345678901234567890123456789012",
                "postgres://app:hunter2@db/orders",
                "host=db password=hunter2",
        };
        static const char *const good[] = { "",
                                            "2024-02-29",
                                            "postgres://app@db/orders",
                                            "https://example.com:8080/a@b",
                                            "the password",
                                            "AKIA",
                                            "task-sk-1" };
        _cleanup_(freep) char *sql = read_source("sql/api/secret.sql");
        unsigned rows = 0, lines = 0;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Error e = {};

                printf("# %s\n", bad[i]);
                ok_int(secret_check("parameter", "x", bad[i], &e), -EINVAL);
                ok_contains(e.detail, "LoadCredential=");
                ok_null(strstr(e.detail, "hunter2"));
        }
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                ok_int(secret_check("parameter", "x", good[i], NULL), 0);
        ok_int(secret_check("parameter", "db_password", "x", NULL), -EINVAL);
        ok_int(secret_check("output", "API_KEY", "x", NULL), -EINVAL);
        ok_int(secret_check("parameter", "keyboard", "x", NULL), 0);

        for (const SecretShape *s = secret_shapes; s->what; s++, rows++) {
                _cleanup_(freep) char *row = str_format("('%s', '%s')", s->what, s->pattern);

                ok_contains(sql, row);
        }
        for (const char *p = sql; p && (p = strstr(p, "\n        ('")); p++)
                lines++;
        ok_int(lines, rows);
        ok_contains(sql, secret_names);
}

static int look_up(const Reference *r, const char **ret, Error *e, void *userdata) {
        char *const *values = userdata;

        for (; values[0]; values += 2)
                if (strlen(values[0]) == r->size - 3 &&
                    memcmp(values[0], r->text + 2, r->size - 3) == 0) {
                        *ret = values[1];
                        return 0;
                }
        return error_set(e, -EINVAL, "no-value", "no value");
}

typedef struct Lengthy {
        char value[SUBSTITUTED_MAX / 2 + 1];
        unsigned asked;
} Lengthy;

static int look_up_lengthy(const Reference *r, const char **ret, Error *e, void *userdata) {
        Lengthy *l = userdata;

        (void) r;
        (void) e;
        l->asked++;
        *ret = l->value;
        return 0;
}

/* It would be gigabytes otherwise, of what one answer has room for. */
static void values_are_bounded(const char *name, const char *text) {
        _cleanup_(freep) char *twice = str_format("%s${a}${a}", text);
        _cleanup_(freep) char *often = str_format("%s${a}${a}${a}${a}${a}", text);
        _cleanup_(freep) char *good = NULL, *bad = NULL;
        Lengthy l = {};
        Error e = {};

        printf("# %s\n", name);
        (void) memset(l.value, ' ', sizeof(l.value) - 1);
        ok_int(substitute_value(directive_find(name), twice, "u.service", look_up_lengthy, &l,
                                &good, NULL),
               0);
        l.asked = 0;
        ok_int(substitute_value(directive_find(name), often, "u.service", look_up_lengthy, &l, &bad,
                                &e),
               -EINVAL);
        ok_str(e.detail, "the values in it have more than 131072 bytes");
        ok_int(l.asked, 3);
}

static void test_values_are_bounded(void) {
        values_are_bounded("ExecStart", "/bin/x ");
        values_are_bounded("Environment", "A=");
        values_are_bounded("StandardInputText", "");
}

static char *const values[] = { (char *) "day",
                                (char *) "2024-02-29",
                                (char *) "odd",
                                (char *) "a b\"'\\;$HOME ${HOME} $$ %n $(id) {x}\n--x",
                                (char *) "nothing",
                                (char *) "",
                                (char *) "extract.rows",
                                (char *) "5",
                                (char *) "way",
                                (char *) "sub/dir",
                                NULL };

static char *substituted(const char *name, const char *text) {
        Error e = {};
        char *ret = NULL;

        return substitute_value(directive_find(name), text, "u.service", look_up, (void *) values,
                                &ret, &e) < 0
                       ? strdup(e.detail)
                       : ret;
}

static void becomes(const char *name, const char *text, const char *want) {
        _cleanup_(freep) char *got = substituted(name, text);

        ok_str(got, want);
        ok_int(directive_check(directive_find(name), got, NULL), 0);
}

/* One argument, whatever is in it, after all that systemd does with a $. */
static void test_one_argument(void) {
        _cleanup_(freep) char *got =
                substituted("ExecStart", "/bin/x '${odd}' a${nothing} ${nothing}");
        ExecCommand c = {};

        ok_int(exec_command_parse(got, &c, NULL), 0);
        ok_int(strv_length(c.argv), 4);
        ok_str(c.argv[1], "a b\"'\\;$$HOME $${HOME} $$$$ %n $$(id) {x}\n--x");
        ok_str(c.argv[2], "a");
        ok_str(c.argv[3], "");
        exec_command_done(&c);
}

static void test_substitution(void) {
        _cleanup_(freep) char *environment = substituted("Environment", "A=${odd} \"B=${day}\"");
        _cleanup_(freep) char *path = substituted("ExecStart", "/opt/${odd}/x");
        _cleanup_(freep) char *none = substituted("ExecStart", "/bin/x ${no}");
        _cleanup_(freep) char *unknown = substituted("ExecStart", "/bin/date +%F");
        _cleanup_(freep) char *input = substituted("StandardInputText", "a\\tb ${odd}");
        _cleanup_(freep) char *raw = NULL;
        _cleanup_(strv_freep) char **words = NULL;

        becomes("ExecStart", "/bin/x ${day} $HOME ${HOME}", "/bin/x 2024-02-29 $HOME ${HOME}");
        becomes("ExecStart", "/bin/x $${day} $$${day}", "/bin/x $${day} $$2024-02-29");
        becomes("ExecStart", "-:/bin/x $${day} $$ ${way}", "-:/bin/x ${day} $$ sub/dir");
        becomes("ExecStart", "/bin/x --rows=${extract.rows} 'a b'", "/bin/x --rows=5 a\\x20b");
        becomes("ExecStart", "/opt/${way}/x", "/opt/sub/dir/x");
        becomes("WorkingDirectory", "/srv/${way}", "/srv/sub/dir");
        becomes("ExecStart", "/bin/x %n %%n 50% %N. %", "/bin/x u.service %n 50% u. %");
        becomes("ExecStart", "%S/x %t %C %L %E %T %V %d ${way}%%",
                "/var/lib/x /run /var/cache /var/log /etc /tmp /var/tmp "
                "/run/credentials/u.service sub/dir%");
        becomes("Environment", "DAY=%%F \"A=%n %\"", "DAY=%F A=u.service\\x20%");
        becomes("WorkingDirectory", "%S/x", "/var/lib/x");
        ok_str(unknown, "%F stands for nothing here; write %%F for a % and F");
        becomes("WorkingDirectory", "/srv/$${way}", "/srv/${way}");
        ok_str(path, "a value with a $ cannot be part of the program's path");
        ok_str(none, "no value");
        ok_int(words_split(environment, &words, NULL), 0);
        ok_int(strv_length(words), 2);
        ok_str(words[0], "A=a b\"'\\;$HOME ${HOME} $$ %n $(id) {x}\n--x");
        ok_str(words[1], "B=2024-02-29");
        ok_int(text_unescape(input, &raw, NULL), 0);
        ok_str(raw, "a\tb a b\"'\\;$HOME ${HOME} $$ %n $(id) {x}\n--x");
}

/* The words about a pipe with one parameter, "day", and the tasks first and second. */
static void verdict(const char *parameter, const char *second, const char *want) {
        _cleanup_(freep) char *text =
                str_format("[Pipe]\n[Parameter day]\n%s\n[Task first]\nExecStart=/bin/a\n"
                           "[Task second]\n%s\n",
                           parameter, second);
        _cleanup_(pipe_freep) Pipe *p = NULL;
        Error e = {};

        ok_int(pipe_parse("p", text, strlen(text), &p, &e, NULL) < 0, *want != '\0');
        if (*want)
                ok_contains(e.detail, want);
        else
                ok_str(e.detail, "");
}

#define SECOND "After=first\nExecStart=/bin/b "

static void test_language(void) {
        verdict("Type=date\nDefault=today", SECOND "${day}", "");
        verdict("", SECOND "${first.rows} ${day}", "");
        verdict("Type=dat", SECOND, "p:3:1: Type=dat is not one of string, integer");
        verdict("Typ=date", SECOND, "p:3:1: unknown key Typ= in [Parameter]; did you mean Type=?");
        verdict("Type=integer\nMinimum=2\nMaximum=1", SECOND,
                "p:5:1: Minimum=2 is above Maximum=1");
        verdict("Type=integer\nMinimum=x", SECOND, "p:4:1: Minimum=: a whole number");
        verdict("Type=integer\nDefault=x", SECOND, "p:4:1: Default=: \"x\": a whole number");
        verdict("Values=a b", SECOND, "p:3:1: Values= does not go with Type=string");
        verdict("Type=enum", SECOND, "p:3:1: Type=enum wants Values=");
        verdict("Type=enum\nValues=a b\nDefault=c", SECOND, "p:5:1: Default=: \"c\" is not one of");
        verdict("Pattern=^a\nDefault=b", SECOND,
                "p:4:1: Default=: \"b\" does not match Pattern=^a");
        verdict("Pattern=(", SECOND, "p:3:1: Pattern=: ");
        verdict("Minimum=1", SECOND, "p:3:1: Minimum= does not go with Type=string");
        verdict("Required=yes\nDefault=b", SECOND, "p:3:1: Required= does not go with Default=");
        verdict("Default=AKIAIOSFODNN7EXAMPLE", SECOND, "p:3:1: parameter day looks like an AWS");
        verdict("[Parameter a_token]", SECOND, "p:3:1: parameter a_token looks like the name");
        verdict("[Parameter day]", SECOND, "p:3:1: parameter \"day\" stands twice");
        verdict("[Parameter Day]", SECOND, "p:3:1: \"Day\" is no parameter name");
        verdict("", SECOND "${dya}",
                "p:8:1: ExecStart=: there is no parameter ${dya}; did you mean ${day}?");
        verdict("", SECOND "$day", "p:8:1: ExecStart=: $day is split into words");
        verdict("", SECOND "$days $$day $${dya} ${DYA}", "");
        verdict("", SECOND "${first.}", "begins a reference and is none");
        verdict("", SECOND "${HOME${day}}", "begins a reference and is none");
        verdict("", SECOND "\nMemoryMax=${day}", "MemoryMax=");
        verdict("", SECOND "\nLogExtraFields=A=${day}", "LogExtraFields=: ${day} is not replaced");
        verdict("", "ExecStart=/bin/b ${first.rows}", "task \"first\" has not always succeeded");
        verdict("", "AfterAny=first\nExecStart=/bin/b ${first.rows}", "has not always succeeded");
        verdict("", SECOND "${third.rows}", "this pipe has no task \"third\"");
}

static void test_description(void) {
        static const char text[] =
                "[Pipe]\n[Parameter day]\nType=date\nDefault=today\n[Parameter n]\n"
                "Required=yes\nDescription=How many\n[Parameter mode]\nType=enum\n"
                "Values=a b\n[Task a]\nExecStart=/bin/a\n";
        static const char *const want[] = { "day: date, default today",
                                            "n: string, required; How many",
                                            "mode: enum (a, b), empty unless given" };
        _cleanup_(pipe_freep) Pipe *p = NULL;
        char *none = NULL;

        ok_int(pipe_parse("p", text, strlen(text), &p, NULL, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                _cleanup_(freep) char *got = NULL;

                ok_int(pipe_describe_parameter(p, i, &got), 0);
                ok_str(got, want[i]);
        }
        ok_int(pipe_describe_parameter(p, ELEMENTSOF(want), &none), -ENOENT);
        ok_null(none);
}

/* "KEY=VALUE;…" of an output, or the words of its refusal. */
static void output_is(const char *data, size_t size, const char *want) {
        _cleanup_(strv_freep) char **pairs = NULL;
        Buffer b = {};
        Error e = {};

        if (task_output_parse(data, size, &pairs, &e) < 0) {
                ok_contains(e.detail, want);
                return;
        }
        for (char *const *p = pairs; p && p[0]; p += 2)
                ok_int(buffer_printf(&b, "%s=%s;", p[0], p[1]), 0);
        ok_str(b.data ? b.data : "", want);
        buffer_done(&b);
}

#define OUTPUT(text, want) output_is(text, sizeof(text) - 1, want)

static void test_outputs(void) {
        OUTPUT("", "");
        OUTPUT("\n\n", "");
        OUTPUT("a=1\nB_2= x = y \na=2\nlast=", "a=2;B_2= x = y ;last=;");
        OUTPUT("{\"a\": \"x\\ny\", \"n\": -1.5, \"i\": 12345678901, \"b\": true}",
               "a=x\ny;n=-1.5;i=12345678901;b=true;");
        OUTPUT(" {}", "");
        OUTPUT("a=1\nb", "line 2 is not KEY=VALUE");
        OUTPUT("a b=1", "line 1: a key has A-Z");
        OUTPUT("=1", "line 1: a key has A-Z");
        OUTPUT("1a=1", "line 1: a key has A-Z");
        OUTPUT("a=\xff", "line 1: a is not UTF-8 text");
        OUTPUT("a=1\r\n", "line 1: a has a control character");
        OUTPUT("a=\0", "there is a NUL byte");
        OUTPUT("{\"a\": [1]}", "must be text, a number, true or false");
        OUTPUT("{\"a\": null}", "must be text, a number, true or false");
        OUTPUT("{\"a\": 1", "Not valid JSON");
        OUTPUT("{\"a\": 1} x", "Not valid JSON");
        OUTPUT("{\"a b\": 1}", "a key has A-Z");
        OUTPUT("k=AKIAIOSFODNN7EXAMPLE", "line 1: output k looks like an AWS access key");
        OUTPUT("DB_PASSWORD=x", "line 1: output DB_PASSWORD looks like the name of a secret");
}

static void test_many_outputs(void) {
        Buffer b = {};

        for (unsigned i = 0; i <= TASK_OUTPUT_KEYS_MAX; i++)
                ok_int(buffer_printf(&b, "k%u=\n", i), 0);
        output_is(b.data, b.size, "there are more than 256 keys");
        buffer_done(&b);
}

int main(void) {
        RUN(test_patterns);
        RUN(test_hostile_patterns);
        RUN(test_types);
        RUN(test_limits);
        RUN(test_secrets);
        RUN(test_one_argument);
        RUN(test_substitution);
        RUN(test_values_are_bounded);
        RUN(test_language);
        RUN(test_description);
        RUN(test_outputs);
        RUN(test_many_outputs);
        return tap_done();
}
