/* A table: what each stands for, or why it stands for nothing. */
#include "specifier.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <systemd/sd-id128.h>

#include "cleanup.h"
#include "str.h"

static char *of_host(bool whole) {
        struct utsname name;

        if (uname(&name) < 0)
                return NULL;
        if (!whole)
                name.nodename[strcspn(name.nodename, ".")] = '\0';
        return strdup(name.nodename);
}

static char *host_name(const char *unit) {
        (void) unit;
        return of_host(true);
}

static char *short_host_name(const char *unit) {
        (void) unit;
        return of_host(false);
}

static char *kernel(const char *unit) {
        struct utsname name;

        (void) unit;
        return uname(&name) < 0 ? NULL : strdup(name.release);
}

static char *id_text(int (*get)(sd_id128_t *ret)) {
        char text[SD_ID128_STRING_MAX];
        sd_id128_t id;

        return get(&id) < 0 ? NULL : strdup(sd_id128_to_string(id, text));
}

static char *machine_id(const char *unit) {
        (void) unit;
        return id_text(sd_id128_get_machine);
}

static char *boot_id(const char *unit) {
        (void) unit;
        return id_text(sd_id128_get_boot);
}

static char *unit_whole(const char *unit) {
        return strdup(unit);
}

static char *unit_without_suffix(const char *unit) {
        const char *dot = strrchr(unit, '.');

        return strndup(unit, dot ? (size_t) (dot - unit) : strlen(unit));
}

static char *credentials(const char *unit) {
        return str_format("/run/credentials/%s", unit);
}

#define TEMPLATE "a task is no instance of a template; a [Parameter NAME] is written ${NAME}"
#define MANAGER                                                                                    \
        "in a unit file that is the service manager's, root's; the task's own is in its "          \
        "environment"
#define FILE_OF_UNIT "there is no unit file"

static const struct {
        char letter;
        char *(*value)(const char *unit); /* owned by the caller; NULL: it cannot be known */
        const char *fixed;
        const char *refused;
} specifiers[] = {
        { '%', NULL, "%", NULL },
        { 'b', boot_id, NULL, NULL },
        { 'C', NULL, "/var/cache", NULL },
        { 'd', credentials, NULL, NULL },
        { 'E', NULL, "/etc", NULL },
        { 'H', host_name, NULL, NULL },
        { 'l', short_host_name, NULL, NULL },
        { 'L', NULL, "/var/log", NULL },
        { 'm', machine_id, NULL, NULL },
        { 'n', unit_whole, NULL, NULL },
        { 'N', unit_without_suffix, NULL, NULL },
        { 'S', NULL, "/var/lib", NULL },
        { 't', NULL, "/run", NULL },
        { 'T', NULL, "/tmp", NULL },
        { 'v', kernel, NULL, NULL },
        { 'V', NULL, "/var/tmp", NULL },
        { 'f', NULL, NULL, TEMPLATE },
        { 'i', NULL, NULL, TEMPLATE },
        { 'I', NULL, NULL, TEMPLATE },
        { 'j', NULL, NULL, TEMPLATE },
        { 'J', NULL, NULL, TEMPLATE },
        { 'p', NULL, NULL, TEMPLATE },
        { 'P', NULL, NULL, TEMPLATE },
        { 'g', NULL, NULL, MANAGER },
        { 'G', NULL, NULL, MANAGER },
        { 'h', NULL, NULL, MANAGER },
        { 's', NULL, NULL, MANAGER },
        { 'u', NULL, NULL, MANAGER },
        { 'U', NULL, NULL, MANAGER },
        { 'y', NULL, NULL, FILE_OF_UNIT },
        { 'Y', NULL, NULL, FILE_OF_UNIT },
};

static size_t find(char letter) {
        size_t i = 0;

        while (i < ELEMENTSOF(specifiers) && specifiers[i].letter != letter)
                i++;
        return i;
}

int specifier_check(char letter, Error *e) {
        size_t i = find(letter);

        if (i < ELEMENTSOF(specifiers) && !specifiers[i].refused)
                return 0;
        return error_set(e, -EINVAL, "bad-specifier",
                         "%%%c stands for nothing here%s%s; write %%%%%c for a %% and %c", letter,
                         i < ELEMENTSOF(specifiers) ? ": " : "",
                         i < ELEMENTSOF(specifiers) ? specifiers[i].refused : "", letter, letter);
}

int specifier_value(char letter, const char *unit, char **ret, Error *e) {
        size_t i = find(letter);
        int r = specifier_check(letter, e);
        char *value;

        if (r < 0)
                return r;
        value = specifiers[i].fixed ? strdup(specifiers[i].fixed) : specifiers[i].value(unit);
        if (!value)
                return error_set(e, -EINVAL, "bad-specifier", "%%%c cannot be known on this host",
                                 letter);
        *ret = value;
        return 0;
}
