/* The drop-in's directory is the unit's own, and is made and removed with its files. */
#include "drop-in.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fileio.h"
#include "str.h"

#define COMMANDS "commands.conf"
#define STARTED "started.conf"
#define SIGNATURE "a(sasb)" /* of ExecStart= and its like */

/* A word in double quotes, as systemd.syntax(7) and systemd.unit(5), "Specifiers", want it; variables are meant. */
static int write_word(Buffer *b, const char *word) {
        int r = buffer_append_str(b, "\"");

        for (const char *p = word; r >= 0 && *p; p++) {
                const unsigned char c = (unsigned char) *p;

                if (c < ' ' || c == 0x7f)
                        r = buffer_printf(b, "\\x%02x", c);
                else if (c == '"' || c == '\\')
                        r = buffer_printf(b, "\\%c", c);
                else
                        r = buffer_printf(b, c == '%' ? "%%%%" : "%c", c);
        }
        return r < 0 ? r : buffer_append_str(b, "\"");
}

/* One command: its path, the number of words, the words, whether a failure is ignored. */
static int write_command(Buffer *b, const char *name, const Atom *a, const Atom **ret_next) {
        const Atom *path = a, *words = a + 2;
        uint64_t count = a[1].number;
        int r = buffer_printf(b, "%s=%s@", name, words[count].number ? "-" : "");

        if (r >= 0)
                r = write_word(b, path->text);
        for (uint64_t i = 0; r >= 0 && i < count; i++) {
                r = buffer_append_str(b, " ");
                if (r >= 0)
                        r = write_word(b, words[i].text);
        }
        *ret_next = words + count + 1;
        return r < 0 ? r : buffer_append_str(b, "\n");
}

static bool is_said_before(const Atoms *a, size_t end, const char *name) {
        for (size_t i = 0; i < end; i = atoms_next(a, i))
                if (str_eq(a->items[i].text, name))
                        return true;
        return false;
}

/* What the unit's own file says of it is forgotten first. */
static int write_property(Buffer *b, const Atoms *a, size_t i) {
        const char *name = a->items[i].text;
        const Atom *next = &a->items[i + 3];
        uint64_t count = a->items[i + 2].number;
        int r = 0;

        if (count == 0 || !is_said_before(a, i, name))
                r = buffer_printf(b, "%s=\n", name);
        for (; r >= 0 && count > 0; count--)
                r = write_command(b, name, next, &next);
        return r;
}

static bool is_command(const Atoms *a, size_t i) {
        return str_eq(a->items[i + 1].text, SIGNATURE);
}

static bool is_misread(const Atoms *a) {
        for (size_t i = 0, next; i < a->count; i = next) {
                next = atoms_next(a, i);
                for (size_t k = i + 3; is_command(a, i) && k < next; k++)
                        if (a->items[k].text && strpbrk(a->items[k].text, "$;"))
                                return true;
        }
        return false;
}

int drop_in_format(const Atoms *properties, char **ret) {
        Buffer b = {};
        int r;

        *ret = NULL;
        if (!is_misread(properties))
                return 0;
        r = buffer_append_str(&b, "[Service]\n");
        for (size_t i = 0; r >= 0 && i < properties->count; i = atoms_next(properties, i))
                if (is_command(properties, i))
                        r = write_property(&b, properties, i);
        if (r >= 0)
                r = buffer_take(&b, ret);
        buffer_done(&b);
        return r;
}

static int write_file(const char *root, const char *unit, const char *name, const char *text) {
        _cleanup_(freep) char *directory = str_format("%s/%s.d", root, unit);
        _cleanup_(freep) char *path = str_format("%s/%s.d/%s", root, unit, name);
        int r;

        if (!directory || !path)
                return -ENOMEM;
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return -errno;
        (void) chmod(directory, 0755); /* whatever the umask is */
        r = file_write_atomic(path, text, strlen(text), 0644);
        if (r < 0)
                (void) rmdir(directory);
        return r;
}

static void remove_file(const char *root, const char *unit, const char *name) {
        _cleanup_(freep) char *path = str_format("%s/%s.d/%s", root, unit, name);

        if (path)
                (void) unlink(path);
}

int drop_in_write(const char *root, const UnitSpec *spec) {
        _cleanup_(freep) char *text = NULL;
        int r = drop_in_format(&spec->properties, &text);

        remove_file(root, spec->unit, STARTED); /* of a start that came to nothing */
        return r < 0 || !text ? r : write_file(root, spec->unit, COMMANDS, text);
}

int drop_in_write_started(const char *root, const char *unit) {
        return write_file(root, unit, STARTED, "[Unit]\nRefuseManualStart=yes\n");
}

void drop_in_remove(const char *root, const char *unit) {
        _cleanup_(freep) char *directory = str_format("%s/%s.d", root, unit);

        remove_file(root, unit, COMMANDS);
        remove_file(root, unit, STARTED);
        if (directory)
                (void) rmdir(directory);
}
