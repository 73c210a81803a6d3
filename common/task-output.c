/* Keys are names, values are text that fits into a line or several; whatever else is in the file, nothing of it counts. */
#include "task-output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "json-in.h"
#include "secret.h"
#include "str.h"
#include "strv.h"
#include "substitute.h"

static int check_value(const char *key, const char *value, Error *e) {
        if (!str_is_utf8(value, strlen(value)))
                return error_set(e, -EINVAL, "bad-output", "%s is not UTF-8 text", key);
        for (const char *p = value; *p; p++)
                if (((unsigned char) *p < 0x20 && *p != '\t' && *p != '\n') || *p == 0x7f)
                        return error_set(e, -EINVAL, "bad-output", "%s has a control character",
                                         key);
        return secret_check("output", key, value, e);
}

/* Takes the place of an earlier one of that key. */
static int add(char ***pairs, const char *key, const char *value, Error *e) {
        size_t n = 0;
        int r;

        if (!output_key_ok(key, strlen(key)))
                return error_set(
                        e, -EINVAL, "bad-output",
                        "a key has A-Z, a-z, 0-9 and _, at most %d, and does not begin with "
                        "a digit",
                        OUTPUT_KEY_MAX);
        r = check_value(key, value, e);
        for (char **p = *pairs; r >= 0 && p && p[0]; p += 2, n++)
                if (str_eq(p[0], key))
                        return str_replace(&p[1], value);
        if (r >= 0 && n >= TASK_OUTPUT_KEYS_MAX)
                return error_set(e, -E2BIG, "bad-output", "there are more than %d keys",
                                 TASK_OUTPUT_KEYS_MAX);
        if (r >= 0)
                r = strv_append(pairs, key);
        return r < 0 ? r : strv_append(pairs, value);
}

static int parse_lines(char *text, char ***pairs, Error *e) {
        unsigned number = 0;
        int r = 0;

        for (char *rest = text, *line; r >= 0 && (line = strsep(&rest, "\n"));) {
                char *value = strchr(line, '=');

                number++;
                if (!*line)
                        continue;
                if (!value)
                        return error_set(e, -EINVAL, "bad-output", "line %u is not KEY=VALUE",
                                         number);
                *value++ = '\0';
                r = add(pairs, line, value, e);
                if (r < 0 && r != -ENOMEM)
                        return error_prefix(e, "line %u: ", number);
        }
        return r;
}

static int parse_object(const char *data, size_t size, char ***pairs, Error *e) {
        _cleanup_(strv_freep) char **members = NULL;
        int r = json_decode_scalars(data, size, TASK_OUTPUT_KEYS_MAX, &members, e);

        for (char **m = members; r >= 0 && m && m[0]; m += 2)
                r = add(pairs, m[0], m[1], e);
        return r;
}

int task_output_parse(const char *data, size_t size, char ***ret, Error *e) {
        _cleanup_(strv_freep) char **pairs = NULL;
        _cleanup_(freep) char *text = NULL;
        int r;

        if (memchr(data, '\0', size))
                return error_set(e, -EINVAL, "bad-output", "there is a NUL byte");
        text = strndup(data, size);
        if (!text)
                return -ENOMEM;
        if (text[strspn(text, " \t\r\n")] == '{')
                r = parse_object(text, size, &pairs, e);
        else
                r = parse_lines(text, &pairs, e);
        if (r >= 0)
                *ret = TAKE_PTR(pairs);
        return r == -E2BIG || r == -ERANGE ? -EINVAL : r;
}
