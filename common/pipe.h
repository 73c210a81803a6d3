/* The pipe language (sluice.pipe(5)): text or JSON form into a struct, and its normal form. No I/O, so that CLI, daemon and
 * fuzzers share it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "error.h"
#include "schedule-times.h"

#define PIPE_TEXT_MAX (1024 * 1024)
#define PIPE_TASKS_MAX 256
#define PIPE_SCHEDULES_MAX 32
#define PIPE_EXPRESSIONS_MAX 64 /* of each kind in a schedule */
#define PIPE_DIRECTIVES_MAX 256 /* of a task */
#define PIPE_VALUE_MAX 8192
#define PIPE_COMPLAINTS_MAX 100
#define PIPE_VERSION_SIZE 17

typedef struct Pipe Pipe;

/* name is used in messages: "NAME:LINE:COLUMN: words". -EINVAL with words, or -ENOMEM. e is what is wrong first; *ret_all, unless
 * ret_all is NULL, all of it in the order of the lines, an owned text each, once anything is said about the contents. */
int pipe_parse(const char *name, const char *text, size_t size, Pipe **ret, Error *e,
               char ***ret_all);

/* The JSON form: the normal form, with absent members at their defaults. */
int pipe_from_json(const char *json, size_t size, Pipe **ret, Error *e, char ***ret_all);

/* The text form: what is said, in one order, without comments. It parses to the same pipe. -EINVAL with words where JSON said what
 * a text cannot. Owned by the caller. */
int pipe_to_text(const Pipe *p, char **ret, Error *e);

/* Normal form: compact JSON, selector sorted, defaults filled in. Owned by the caller. */
int pipe_to_json(const Pipe *p, char **ret);

/* First 16 hex digits of a SHA-256 of what the normal form says (docs/decisions/0006). The same in every release. */
int pipe_version(const Pipe *p, char version[PIPE_VERSION_SIZE]);

/* Its tasks, by number from 0; all borrowed. */
size_t pipe_task_count(const Pipe *p);
const char *pipe_task_name(const Pipe *p, size_t i);
char *const *pipe_task_directives(const Pipe *p, size_t i); /* name, value, name, value */
/* The i-th parameter and the value that it has unless another is given: NULL when one has to be, or when it is a day that is yet to be
 * known. False behind the last one. */
bool pipe_parameter_preset(const Pipe *p, size_t i, const char **ret_name, const char **ret_value);
bool pipe_is_streaming(const Pipe *p);
/* Whether a task is placed by itself, without the workspace of its run. */
bool pipe_task_is_apart(const Pipe *p, size_t i);
/* Whether it is done on many instances. */
bool pipe_task_fans(const Pipe *p, size_t i);
/* When the i-th schedule is due: the caller owns *ret, NULL when no clock says it, and *ret_name is the pipe's. -ENOENT behind the
 * last one. */
int pipe_schedule_times(const Pipe *p, size_t i, const char **ret_name, ScheduleTimes **ret);

Pipe *pipe_free(Pipe *p);
DEFINE_SCOPE_EXIT(Pipe, pipe_free)

/* What people should know of the parameter with this number, from 0 on: "day: date, default yesterday". -ENOENT behind the last one.
 * Owned by the caller. */
int pipe_describe_parameter(const Pipe *p, size_t i, char **ret);

/* a-z 0-9 _ -, at most 63, beginning with a letter or digit: pipes, tasks, projects. */
#define PIPE_NAME_PATTERN "^[a-z0-9][a-z0-9_-]{0,62}$"
int pipe_name_check(const char *name);
