/* Layered configuration from tables. Reads at start-up and on reload only; values are checked when they are read, so that
 * the message can name file and line. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fileio.h"
#include "log.h"
#include "parse.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define CONFIG_FILE_MAX (1024 * 1024)

typedef struct ConfigValue {
        char *text;
        char *origin; /* "default", "$SLUICE_LISTEN", "--listen", "FILE:3" */
} ConfigValue;

struct Config {
        const ConfigField *fields; /* borrowed: a static table */
        size_t n_fields;
        ConfigValue *values; /* owned, one a field */
};

/* Decodes text as the field's type into slot. */
static int field_decode(const ConfigField *f, const char *text, void *slot) {
        uint64_t n = 0;
        int r = 0;

        switch (f->type) {
        case CONFIG_TEXT:
                return str_replace(slot, *text ? text : NULL);
        case CONFIG_BOOL:
                return parse_bool(text, slot);
        case CONFIG_U32:
                r = parse_u64_range(text, f->min, f->max ? f->max : UINT32_MAX, &n);
                if (r >= 0)
                        *(uint32_t *) slot = (uint32_t) n;
                return r;
        case CONFIG_SIZE:
                return parse_size(text, slot);
        case CONFIG_SPAN:
                return timespan_parse(text, slot);
        case CONFIG_STRV:
                return strv_split(text, ", \t\n", slot);
        case CONFIG_LIST:
                return strv_split(text, ",", slot);
        }
        return -EINVAL;
}

static void field_clear(const ConfigField *f, void *slot) {
        if (f->type == CONFIG_TEXT) {
                free(*(char **) slot);
                *(char **) slot = NULL;
        } else if (f->type == CONFIG_STRV || f->type == CONFIG_LIST) {
                *(char ***) slot = strv_free(*(char ***) slot);
        }
}

/* Decoding into a scratch value is the check. */
static int field_check(const ConfigField *f, const char *text, Error *e) {
        union {
                void *pointer;
                uint64_t number;
                bool flag;
        } scratch = {};
        int r = field_decode(f, text, &scratch);

        if (r >= 0)
                field_clear(f, &scratch);
        if (r == -ERANGE && f->type == CONFIG_U32)
                return error_set(e, r, "bad-config", "%s=%s is not between %llu and %llu.", f->key,
                                 text, (unsigned long long) f->min,
                                 (unsigned long long) (f->max ? f->max : UINT32_MAX));
        if (r < 0)
                return error_set(e, r, "bad-config", "%s=%s is not a valid value.", f->key, text);
        return 0;
}

static int value_set(Config *c, size_t i, const char *text, const char *origin, Error *e) {
        int r = field_check(&c->fields[i], text, e);

        if (r >= 0)
                r = str_replace(&c->values[i].text, text);
        return r < 0 ? r : str_replace(&c->values[i].origin, origin);
}

int config_new(const ConfigField *fields, Config **ret) {
        _cleanup_(config_freep) Config *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->fields = fields;
        while (fields[c->n_fields].section)
                c->n_fields++;
        c->values = calloc(c->n_fields, sizeof(*c->values));
        if (!c->values)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_fields; i++)
                if (str_replace(&c->values[i].text, fields[i].fallback) < 0 ||
                    str_replace(&c->values[i].origin, "default") < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

Config *config_free(Config *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; c->values && i < c->n_fields; i++) {
                free(c->values[i].text);
                free(c->values[i].origin);
        }
        free(c->values);
        free(c);
        return NULL;
}

static int line_assign(Config *c, const char *section, char *line, const char *where, Error *e) {
        char *equals = strchr(line, '=');
        bool known_section = false;

        if (!equals)
                return error_set(e, -EINVAL, "bad-config",
                                 "%s: expected Key=value or [Section], found \"%.64s\".", where,
                                 line);
        *equals = '\0';
        for (size_t i = 0; i < c->n_fields; i++) {
                bool here = str_eq(c->fields[i].section, section);

                known_section |= here;
                if (here && str_eq(c->fields[i].key, str_strip(line))) {
                        int r = value_set(c, i, str_strip(equals + 1), where, e);

                        return r < 0 ? error_prefix(e, "%s: ", where) : 0;
                }
        }
        if (known_section)
                log_message(LOG_WARNING, NULL, NULL,
                            "%s: unknown key %s= in section [%s], ignored.", where, str_strip(line),
                            section);
        else
                log_message(LOG_WARNING, NULL, NULL, "%s: unknown section [%s], %s= ignored.",
                            where, section, str_strip(line));
        return 0;
}

static int text_read(Config *c, const char *path, char *text, Error *e) {
        char *section = (char *) "", *rest = text, *line;

        for (unsigned number = 1; (line = strsep(&rest, "\n")); number++) {
                _cleanup_(freep) char *where = str_format("%s:%u", path, number);
                size_t n;
                int r;

                if (!where)
                        return -ENOMEM;
                line = str_strip(line);
                n = strlen(line);
                if (n == 0 || *line == '#' || *line == ';')
                        continue;
                if (*line == '[' && line[n - 1] == ']') {
                        line[n - 1] = '\0';
                        section = line + 1;
                        continue;
                }
                r = line_assign(c, section, line, where, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int one_file_read(Config *c, const char *path, bool must_exist, Error *e) {
        _cleanup_(freep) char *text = NULL;
        int r = file_read(path, CONFIG_FILE_MAX, &text, NULL);

        if (r == -ENOENT && !must_exist)
                return 0;
        if (r < 0)
                return error_set(e, r, "bad-config", "Cannot read %s: %s.", path, strerror(-r));
        return text_read(c, path, text, e);
}

static int is_drop_in(const struct dirent *entry) {
        const char *dot = strrchr(entry->d_name, '.');

        return entry->d_name[0] != '.' && str_eq(dot, ".conf");
}

int config_read_file(Config *c, const char *path, bool must_exist, Error *e) {
        _cleanup_(freep) char *directory = str_format("%s.d", path);
        struct dirent **entries = NULL;
        int n, r = one_file_read(c, path, must_exist, e);

        if (r < 0)
                return r;
        if (!directory)
                return -ENOMEM;
        n = scandir(directory, &entries, is_drop_in, alphasort);
        if (n < 0 && errno != ENOENT)
                return error_set(e, -errno, "bad-config", "Cannot look into %s: %s.", directory,
                                 strerror(errno));
        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *file = str_format("%s/%s", directory, entries[i]->d_name);

                if (r >= 0)
                        r = file ? one_file_read(c, file, true, e) : -ENOMEM;
                free(entries[i]);
        }
        free(entries);
        return r;
}

int config_read_environment(Config *c, Error *e) {
        for (size_t i = 0; i < c->n_fields; i++) {
                char name[64];
                const char *text;
                int r;

                (void) snprintf(name, sizeof(name), "SLUICE_%s", c->fields[i].option);
                for (char *p = name; *p; p++)
                        *p = *p == '-'                ? '_'
                             : *p >= 'a' && *p <= 'z' ? (char) (*p - 'a' + 'A')
                                                      : *p;
                text = getenv(name);
                if (!text)
                        continue;
                r = value_set(c, i, text, name, e);
                if (r < 0)
                        return error_prefix(e, "$%s: ", name);
        }
        return 0;
}

int config_read_argument(Config *c, const char *arg, Error *e) {
        const char *name = str_after(arg, "--");

        for (size_t i = 0; name && i < c->n_fields; i++) {
                const char *value = str_after(name, c->fields[i].option);
                char origin[64];
                int r;

                if (!value || *value != '=')
                        continue;
                (void) snprintf(origin, sizeof(origin), "--%s", c->fields[i].option);
                r = value_set(c, i, value + 1, origin, e);
                return r < 0 ? r : 1;
        }
        return 0;
}

int config_store(const Config *c, void *target, Error *e) {
        for (size_t i = 0; i < c->n_fields; i++) {
                void *slot = (char *) target + c->fields[i].offset;
                int r;

                field_clear(&c->fields[i], slot);
                if (!*c->values[i].text && c->fields[i].type != CONFIG_TEXT)
                        continue;
                r = field_decode(&c->fields[i], c->values[i].text, slot);
                if (r < 0)
                        return error_set(e, r, "bad-config", "Cannot store %s=.", c->fields[i].key);
        }
        return 0;
}

void config_clear(const ConfigField *fields, void *target) {
        for (const ConfigField *f = fields; f->section; f++)
                field_clear(f, (char *) target + f->offset);
}

void config_print(const Config *c, FILE *to) {
        const char *section = NULL;

        for (size_t i = 0; i < c->n_fields; i++) {
                if (!str_eq(section, c->fields[i].section))
                        (void) fprintf(to, "%s[%s]\n", section ? "\n" : "", c->fields[i].section);
                section = c->fields[i].section;
                (void) fprintf(to, "%s=%s  # %s\n", c->fields[i].key, c->values[i].text,
                               c->values[i].origin);
        }
}

/* "--listen=…", or "--listen" and the next word. 1 when it was ours; *ret_next: it took the next word. */
static int read_words(Config *c, const char *arg, const char *next, bool *ret_next, Error *e) {
        const char *name = str_after(arg, "--");

        for (size_t i = 0; name && i < c->n_fields; i++) {
                _cleanup_(freep) char *joined = NULL;

                if (!str_eq(c->fields[i].option, name))
                        continue;
                if (!next)
                        return error_set(e, -EINVAL, "usage", "%s wants a value.", arg);
                joined = str_format("%s=%s", arg, next);
                *ret_next = true;
                return joined ? config_read_argument(c, joined, e) : -ENOMEM;
        }
        return config_read_argument(c, arg, e);
}

/* Takes our arguments out of argv, up to "--". */
static int read_arguments(Config *c, int *argc, char **argv, bool *ret_print, Error *e) {
        bool only_words = false;
        int kept = 1;

        for (int i = 1; i < *argc; i++) {
                bool next = false;
                int r = only_words ? 0 : read_words(c, argv[i], argv[i + 1], &next, e);

                if (r < 0)
                        return r;
                only_words |= str_eq(argv[i], "--");
                if (r == 0 && !only_words && str_eq(argv[i], "--print-config"))
                        *ret_print = true;
                else if (r == 0)
                        argv[kept++] = argv[i];
                i += next;
        }
        *argc = kept;
        argv[kept] = NULL;
        return 0;
}

int config_load(const ConfigField *fields, const ConfigFile files[], int *argc, char **argv,
                void *target, Error *e) {
        _cleanup_(config_freep) Config *c = NULL;
        bool print = false;
        int r = config_new(fields, &c);

        for (const ConfigFile *f = files; r >= 0 && f->path; f++)
                r = config_read_file(c, f->path, f->must_exist, e);
        if (r >= 0)
                r = config_read_environment(c, e);
        if (r >= 0)
                r = read_arguments(c, argc, argv, &print, e);
        if (r < 0)
                return r;
        if (print) {
                config_print(c, stdout);
                return 1;
        }
        return config_store(c, target, e);
}
