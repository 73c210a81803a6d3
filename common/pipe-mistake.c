/* What was meant by a key or a section that is none. */
#include <errno.h>

#include "directive.h"
#include "pipe-internal.h"
#include "str.h"

#define NEAR_MAX 4 /* letters; further away is no likeness */

static const char *nearest_word(const PipeWord words[], size_t n, const char *key,
                                const char *near) {
        unsigned least = near ? str_distance(near, key) : NEAR_MAX;

        for (size_t i = 0; i < n; i++)
                if (str_distance(words[i].key, key) < least) {
                        near = words[i].key;
                        least = str_distance(near, key);
                }
        return near;
}

/* The section in which the key would be right, or NULL. */
static const char *section_of(const char *key) {
        static const struct {
                const PipeWord *words;
                size_t n;
                const char *section;
        } rows[] = {
                { pipe_own_words, PIPE_OWN_WORDS, "Pipe" },
                { pipe_task_words, PIPE_TASK_WORDS, "Task NAME" },
                { pipe_schedule_words, PIPE_SCHEDULE_WORDS, "Schedule NAME" },
                { pipe_parameter_words, PIPE_PARAMETER_WORDS, "Parameter NAME" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (pipe_word_find(rows[i].words, rows[i].n, key) < rows[i].n)
                        return rows[i].section;
        return directive_find(key) ? "Task NAME" : NULL;
}

int pipe_unknown_key(const PipeWord words[], size_t n, const char *key, const char *section,
                     Error *e) {
        const char *near = nearest_word(words, n, key, NULL), *right = section_of(key);

        if (right)
                return error_set(e, -EINVAL, "unknown-key", "%s= stands in [%s]", key, right);

        return error_set(e, -EINVAL, "unknown-key", "unknown key %.64s= in [%s]%s%s%s", key,
                         section, near ? "; did you mean " : "", near ? near : "",
                         near ? "=?" : "");
}

int pipe_unknown_directive(const char *key, Error *e) {
        const char *right = section_of(key);
        const char *near = nearest_word(pipe_task_words, PIPE_TASK_WORDS, key, NULL);
        const char *other = directive_nearest(key);

        if (right)
                return error_set(e, -EINVAL, "unknown-key", "%s= stands in [%s]", key, right);
        if (near && (!other || str_distance(near, key) < str_distance(other, key)))
                return error_set(e, -EINVAL, "unknown-directive",
                                 "%.64s= is not allowed in [Task]; did you mean %s=?", key, near);
        return directive_refuse(key, e);
}

/* Sections of unit files, and what has their place here. */
static const struct {
        const char *section, *instead;
} unit_sections[] = {
        { "Unit", "[Pipe] says what a pipe is; its tasks wait for each other with After=" },
        { "Service", "what it says stands in [Task NAME]" },
        { "Timer", "a pipe runs by itself as a [Schedule NAME] says" },
        { "Install", "nothing is enabled: a pipe is deployed, and runs as a [Schedule NAME] says" },
        { "Task", "a task has a name: [Task NAME]" },
        { "Parameter", "a parameter has a name: [Parameter NAME]" },
        { "Schedule", "a schedule has a name: [Schedule NAME]" },
};

int pipe_unknown_section(const char *name, Error *e) {
        for (size_t i = 0; i < ELEMENTSOF(unit_sections); i++)
                if (str_eq(unit_sections[i].section, name))
                        return error_set(e, -EINVAL, "unknown-section", "unknown section [%s]: %s",
                                         name, unit_sections[i].instead);
        return error_set(e, -EINVAL, "unknown-section",
                         "unknown section [%.64s]; there are [Pipe], [Parameter NAME], "
                         "[Schedule NAME] and [Task NAME]",
                         name);
}

/* What timer units know, and a schedule does otherwise. */
static const struct {
        const char *key, *instead;
} timer_words[] = {
        { "AccuracySec", "a run begins when it is due; RandomizedDelaySec= spreads runs" },
        { "OnActiveSec", "with OnUnitActiveSec= the first run is due one interval after the "
                         "deployment" },
        { "OnBootSec", "there is no boot to count from; OnCalendar=*:0/15 is every 15 minutes" },
        { "OnStartupSec",
          "there is no start to count from; OnCalendar=*:0/15 is every 15 minutes" },
        { "Unit", "a schedule starts the pipe that it stands in" },
};

int pipe_unknown_schedule_key(const char *key, Error *e) {
        for (size_t i = 0; i < ELEMENTSOF(timer_words); i++)
                if (str_eq(timer_words[i].key, key))
                        return error_set(e, -EINVAL, "unknown-key",
                                         "%s= is no key of [Schedule]: %s", key,
                                         timer_words[i].instead);
        return pipe_unknown_key(pipe_schedule_words, PIPE_SCHEDULE_WORDS, key, "Schedule", e);
}
