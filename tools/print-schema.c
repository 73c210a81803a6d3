/* Prints docs/pipe.schema.json, a JSON schema of a pipe's JSON form, from the tables that the parser has: what is here in words only
 * is what each member is for. Or the normal forms of pipes in files, for the test of it. A member that nothing is said about is an
 * error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive.h"
#include "fileio.h"
#include "json-out.h"
#include "parameter.h"
#include "pipe-internal.h"
#include "str.h"

/* What the field tables do not say of a member. */
typedef struct Note {
        const char *member; /* NULL ends a table */
        const char *words;
        const char *pattern; /* of the text, or of each text of several */
        void (*write)(
                JsonOut *out); /* what else the schema has for it, or for each text of several */
} Note;

/* What there is to say about the members of one field table. */
typedef struct Shape {
        const JsonField *fields;
        const PipeRule *rules;
        const Note *notes;
} Shape;

static bool incomplete;

static void write_array(JsonOut *o, const JsonField *f);

static void write_number(JsonOut *o, const char *key, int64_t value) {
        _cleanup_(freep) char *text = str_format("%lld", (long long) value);

        if (text)
                json_out_raw(o, key, text);
        else
                o->error = -ENOMEM;
}

/* An optional member may be null, which is as if it were not there. */
static void write_type(JsonOut *o, const char *type, bool required) {
        if (required) {
                json_out_text(o, "type", type);
                return;
        }
        json_out_array(o, "type");
        json_out_text(o, NULL, type);
        json_out_text(o, NULL, "null");
        json_out_end_array(o);
}

static void write_words(JsonOut *o, const char *const words[], bool required) {
        json_out_array(o, "enum");
        for (const char *const *word = words; *word; word++)
                json_out_text(o, NULL, *word);
        if (!required)
                json_out_null(o, NULL);
        json_out_end_array(o);
}

static void write_boolean(JsonOut *o) {
        json_out_raw(o, "enum", "[true,false,1,0,null]");
}

static void write_one_at_least(JsonOut *o) {
        json_out_u64(o, "minItems", 1);
}

static void write_parameter_types(JsonOut *o) {
        json_out_array(o, "enum");
        for (size_t i = 0; parameter_type(i); i++)
                json_out_text(o, NULL, parameter_type(i));
        json_out_null(o, NULL);
        json_out_end_array(o);
}

static void write_operators(JsonOut *o) {
        write_words(o, selector_operators, true);
}

static void write_results(JsonOut *o) {
        json_out_array(o, "anyOf");
        json_out_object(o, NULL);
        write_words(o, pipe_retry_results, true);
        json_out_end_object(o);
        json_out_object(o, NULL);
        json_out_text(o, "pattern", "^0*([1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$");
        json_out_end_object(o);
        json_out_end_array(o);
}

/* Terms; or, as the first release wrote it, labels and values. */
static void write_selector(JsonOut *o) {
        json_out_array(o, "anyOf");
        json_out_object(o, NULL);
        write_array(o, selector_fields);
        json_out_end_object(o);
        json_out_object(o, NULL);
        json_out_text(o, "type", "object");
        json_out_u64(o, "maxProperties", selector_fields->max);
        json_out_object(o, "propertyNames");
        json_out_text(o, "pattern", LABEL_NAME_PATTERN);
        json_out_end_object(o);
        json_out_object(o, "additionalProperties");
        write_type(o, "string", false);
        json_out_end_object(o);
        json_out_end_object(o);
        json_out_object(o, NULL);
        json_out_text(o, "type", "null");
        json_out_end_object(o);
        json_out_end_array(o);
}

static const Note pipe_notes[] = {
        { "description", "What the pipe is for." },
        { "type", "batch, the default: runs end. streaming: one run that is kept running." },
        { "agent_selector",
          "Which agents may run it: terms of which each must hold; or an object "
          "of labels and values, null for a label that must be there.",
          .write = write_selector },
        { "priority", "The higher goes first; 0 is the default." },
        { "concurrency_policy", "What happens when a schedule is due and a run has not ended; "
                                "allow is the default." },
        { "concurrency_limit", "How many runs there are at once, of the pipe or with the key." },
        { "concurrency_key", "Runs of the project's pipes with the same key count together.",
          .pattern = LABEL_NAME_PATTERN },
        { "delivery", "Whether a task may be begun again; at-least-once is the default." },
        { "on_agent_loss", "What becomes of a run whose agent is not heard of; retry is the "
                           "default of batch pipes, wait of streaming ones." },
        { "overlap", "Of a streaming pipe: whether a new version begins before the old one has "
                     "ended; no is the default." },
        { "schedules", "When runs are due." },
        { "tasks", "What a run does. A streaming pipe has one task.", .write = write_one_at_least },
        { "parameters", "What a run is given." },
        {},
};

static const Note task_notes[] = {
        { "name", "Its name, once in a pipe.", PIPE_NAME_PATTERN },
        { "after", "Tasks that have succeeded before it begins.", PIPE_NAME_PATTERN },
        { "after_failure", "Tasks that have failed before it begins.", PIPE_NAME_PATTERN },
        { "after_any", "Tasks that have ended before it begins.", PIPE_NAME_PATTERN },
        { "retry", "How often it is tried again." },
        { "retry_backoff_sec", "How long to wait before that: a time span." },
        { "retry_max_backoff_sec", "The longest of these waits, which grow: a time span." },
        { "retry_on", "Results and exit statuses after which it is tried again.",
          .write = write_results },
        { "agent_selector",
          "Which agents may have this task alone: it is placed by itself and has no workspace.",
          .write = write_selector },
        { "run_on_all", "It is done on all agents of which each of these terms holds.",
          .write = write_selector },
        { "run_on_all_batch", "On how many at once, or on what part of them; all is the default.",
          .pattern = "^([1-9][0-9]{0,3}|([1-9][0-9]?|100)%)$" },
        { "run_on_all_success", "The part of them that has to succeed; 100% is the default.",
          .pattern = "^([1-9][0-9]?|100)%$" },
        { "directives", "Names and values, in the order of the text. One is ExecStart." },
        {},
};

static const Note parameter_notes[] = {
        { "name", "Its name, once in a pipe.", PARAMETER_NAME_PATTERN },
        { "type", "What its values are; string is the default.", .write = write_parameter_types },
        { "default", "Its value when nobody gives one." },
        { "pattern", "A regular expression that a value matches." },
        { "minimum", "The least value." },
        { "maximum", "The greatest value." },
        { "values", "The values of an enum, or those that a list may have.",
          .pattern = "^[^ ,\\t\\n\\r\\u000b\\f\\\\]+$" },
        { "required", "Whether a run must be given a value; it does not go with a default.",
          .write = write_boolean },
        { "description", "What it is for." },
        {},
};

static const Note schedule_notes[] = {
        { "name", "Its name, once in a pipe.", PIPE_NAME_PATTERN },
        { "on_calendar", "Calendar expressions, see systemd.time(7). These or cron's are there." },
        { "cron", "Lines of five fields, see crontab(5)." },
        { "after_pipe",
          "Pipes of the project after whose successful runs it runs; instead of "
          "times.",
          PIPE_NAME_PATTERN },
        { "after_pipe_failure", "Pipes after whose failed runs it runs.", PIPE_NAME_PATTERN },
        { "after_pipe_any", "Pipes after whose runs it runs, however they end.",
          PIPE_NAME_PATTERN },
        { "on_unit_active_sec", "It is due so long after its last run has begun: a time span; "
                                "instead of times." },
        { "on_unit_inactive_sec", "It is due so long after its last run has ended." },
        { "blackout", "Days on which it is skipped: calendar expressions without a time." },
        { "time_zone", "A name of the tz database; UTC is the default." },
        { "missed_runs", "What becomes of runs that were due while nothing could begin; none is "
                         "the default." },
        { "starting_deadline_sec", "How late a run may begin: a time span." },
        { "randomized_delay_sec", "By how much at most a run is delayed: a time span." },
        { "fixed_random_delay", "Whether the delay is the same each time.",
          .write = write_boolean },
        { "concurrency_policy", "What happens when it is due and a run has not ended; the pipe's "
                                "is the default." },
        { "expect_by_sec", "How long after it was due a run must have succeeded: a time span." },
        { "parameters", "NAME=VALUE of parameters that its runs are given.",
          .pattern = "^[a-z][a-z0-9_]*=" },
        {},
};

static const Note term_notes[] = {
        { "key", "The label.", LABEL_NAME_PATTERN },
        { "operator", "What holds for its value.", .write = write_operators },
        { "values", "Of in and notin, one at least." },
        {},
};

static const Shape shapes[] = {
        { pipe_own_fields, pipe_own_rules, pipe_notes },
        { pipe_task_fields, pipe_task_rules, task_notes },
        { pipe_parameter_fields, NULL, parameter_notes },
        { pipe_schedule_fields, pipe_schedule_rules, schedule_notes },
        { selector_term_fields, NULL, term_notes },
};

static const Note *note_of(const Shape *shape, const char *member) {
        for (const Note *note = shape->notes; note->member; note++)
                if (str_eq(note->member, member))
                        return note;
        (void) fprintf(stderr, "Nothing is said about the member \"%s\"\n", member);
        incomplete = true;
        return shape->notes;
}

static const PipeRule *rule_of(const Shape *shape, const JsonField *f) {
        for (const PipeRule *rule = shape->rules; rule && rule->key; rule++)
                if (rule->offset == f->offset)
                        return rule;
        return NULL;
}

static void write_object(JsonOut *o, const JsonField *fields);

/* An array of objects. */
static void write_array(JsonOut *o, const JsonField *f) {
        write_type(o, "array", f->required);
        json_out_u64(o, "maxItems", f->max);
        json_out_object(o, "items");
        write_object(o, f->fields);
        json_out_end_object(o);
}

static void write_texts(JsonOut *o, const JsonField *f, const Note *note) {
        write_type(o, "array", f->required);
        json_out_u64(o, "maxItems", f->max);
        json_out_object(o, "items");
        json_out_text(o, "type", "string");
        if (note->pattern)
                json_out_text(o, "pattern", note->pattern);
        if (note->write)
                note->write(o);
        json_out_end_object(o);
}

static void write_pairs(JsonOut *o, const JsonField *f) {
        write_type(o, "array", f->required);
        json_out_u64(o, "maxItems", f->max);
        json_out_raw(o, "items",
                     "{\"type\":\"array\",\"prefixItems\":[{\"$ref\":\"#/$defs/directive\"},"
                     "{\"type\":\"string\"}],\"minItems\":2,\"items\":false}");
}

static void write_text(JsonOut *o, const JsonField *f, const PipeRule *rule, const Note *note) {
        write_type(o, "string", f->required);
        json_out_u64(o, "maxLength", f->max);
        if (note->pattern)
                json_out_text(o, "pattern", note->pattern);
        if (rule)
                write_words(o, rule->words, f->required);
        if (note->write)
                note->write(o);
}

/* A value that the field table leaves to others: a number, as a rule says, or what the note writes. */
static void write_raw(JsonOut *o, const JsonField *f, const PipeRule *rule, const Note *note) {
        if (rule) {
                write_type(o, "integer", f->required);
                write_number(o, "minimum", rule->min);
                write_number(o, "maximum", rule->max);
        } else if (note->write) {
                note->write(o);
        } else {
                (void) fprintf(stderr, "Nothing says what \"%s\" can be\n", f->name);
                incomplete = true;
        }
}

static void write_member(JsonOut *o, const JsonField *f, const Shape *shape) {
        const PipeRule *rule = rule_of(shape, f);
        const Note *note = note_of(shape, f->name);

        json_out_object(o, f->name);
        json_out_text(o, "description", note->words);
        if (f->type == JSON_TEXT) {
                write_text(o, f, rule, note);
        } else if (f->type == JSON_STRV) {
                write_texts(o, f, note);
        } else if (f->type == JSON_PAIRS) {
                write_pairs(o, f);
        } else if (f->type == JSON_ARRAY) {
                write_array(o, f);
                if (note->write)
                        note->write(o);
        } else {
                write_raw(o, f, rule, note);
        }
        json_out_end_object(o);
}

/* The members of a schema of an object; what the parser does not know it refuses. */
static void write_object(JsonOut *o, const JsonField *fields) {
        const Shape *shape = shapes;

        while (shape->fields != fields)
                shape++;
        json_out_text(o, "type", "object");
        json_out_array(o, "required");
        for (const JsonField *f = fields; f->name; f++)
                if (f->required)
                        json_out_text(o, NULL, f->name);
        json_out_end_array(o);
        json_out_bool(o, "additionalProperties", false);
        json_out_object(o, "properties");
        for (const JsonField *f = fields; f->name; f++)
                write_member(o, f, shape);
        json_out_end_object(o);
}

static int write_schema(char **ret) {
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "$schema", "https://json-schema.org/draft/2020-12/schema");
        json_out_text(&o, "$comment",
                      "Made by `make update-docs` from the tables of the parser; `make check` "
                      "looks whether it is current.");
        json_out_text(&o, "title", "A pipe of Sluice");
        json_out_text(&o, "description",
                      "The JSON form of a pipe, see sluice.pipe(5). What does not fit is refused; "
                      "the values of directives, references and the order of tasks are checked "
                      "when it is deployed. Lengths are in bytes there.");
        write_object(&o, pipe_own_fields);
        json_out_object(&o, "$defs");
        json_out_object(&o, "directive");
        json_out_text(&o, "description", "The name of a directive that a task may have.");
        json_out_array(&o, "enum");
        for (const Directive *d = directives; d->name; d++)
                json_out_text(&o, NULL, d->name);
        json_out_end_array(&o);
        json_out_end_object(&o);
        json_out_end_object(&o);
        json_out_end_object(&o);
        return json_out_take(&o, ret);
}

static void print_break(unsigned depth) {
        (void) printf("\n%*s", (int) (2 * depth), "");
}

/* Compact JSON, a member or element to a line. */
static void print_indented(const char *json) {
        unsigned depth = 0;
        bool text = false;

        for (const char *p = json; *p; p++) {
                bool opens = !text && strchr("{[", *p), closes = !text && strchr("}]", *p);

                if (*p == '"')
                        text = !text;
                if (closes)
                        print_break(--depth);
                (void) putchar(*p);
                if (text && *p == '\\')
                        (void) putchar(*++p);
                if (opens)
                        print_break(++depth);
                else if (!text && *p == ',')
                        print_break(depth);
                else if (!text && *p == ':')
                        (void) putchar(' ');
        }
        (void) putchar('\n');
}

/* The file's name and the pipe's normal form in a line, when it is a pipe, in either form. */
static int print_normal(const char *path) {
        _cleanup_(freep) char *text = NULL, *json = NULL;
        _cleanup_(pipe_freep) Pipe *p = NULL;
        size_t size = 0;
        Error e = {};
        int r = file_read(path, PIPE_TEXT_MAX, &text, &size);

        if (r < 0)
                return r == -EINVAL || r == -EFBIG ? 0 : r;
        r = pipe_parse(path, text, size, &p, &e, NULL);
        if (r == -EINVAL)
                r = pipe_from_json(text, size, &p, &e, NULL);
        if (!p)
                return r == -ENOMEM ? r : 0;
        r = pipe_to_json(p, &json);
        if (r >= 0)
                (void) printf("%s\t%s\n", path, json);
        return r;
}

int main(int argc, char *argv[]) {
        _cleanup_(freep) char *schema = NULL;
        int r = 0;

        if (argc == 2 && str_eq(argv[1], "--document")) {
                r = write_schema(&schema);
                if (r >= 0 && !incomplete)
                        print_indented(schema);
        } else if (argc > 2 && str_eq(argv[1], "--normal")) {
                for (int i = 2; r >= 0 && i < argc; i++)
                        r = print_normal(argv[i]);
        } else {
                (void) fputs("usage: print-schema --document|--normal FILE...\n", stderr);
                return EXIT_FAILURE;
        }
        if (r < 0)
                (void) fprintf(stderr, "print-schema: %s\n", strerror(-r));
        return r < 0 || incomplete || fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}
