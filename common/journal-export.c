/* The Journal Export Format. The reader trusts nothing: not sizes, not names, not that text ends. */
#include "journal-export.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static int name_is_valid(const char *name, size_t size) {
        if (size == 0 || size > 64)
                return 0;
        for (size_t i = 0; i < size; i++)
                if (!(name[i] == '_' || (name[i] >= 'A' && name[i] <= 'Z') ||
                      (name[i] >= '0' && name[i] <= '9')))
                        return 0;
        return 1;
}

/* The field that begins at *offset, which is not an empty line. */
static int field_read(const char *text, size_t size, size_t *offset, ExportField *ret) {
        const char *begin = text + *offset, *newline = memchr(begin, '\n', size - *offset), *equals;
        size_t line;

        if (!newline)
                return -EBADMSG;
        line = (size_t) (newline - begin);
        equals = memchr(begin, '=', line);
        if (equals) {
                *ret = (ExportField){ begin, (size_t) (equals - begin), equals + 1,
                                      (size_t) (newline - equals - 1) };
                *offset += line + 1;
        } else {
                size_t left = size - *offset - line - 1;
                uint64_t bytes;

                if (left < sizeof(bytes))
                        return -EBADMSG;
                (void) memcpy(&bytes, newline + 1, sizeof(bytes));
                bytes = le64toh(bytes);
                left -= sizeof(bytes);
                if (bytes >= left || newline[1 + sizeof(bytes) + bytes] != '\n')
                        return -EBADMSG;
                *ret = (ExportField){ begin, line, newline + 1 + sizeof(bytes), (size_t) bytes };
                *offset += line + 1 + sizeof(bytes) + (size_t) bytes + 1;
        }
        return name_is_valid(ret->name, ret->name_size) ? 0 : -EBADMSG;
}

int export_read(const char *text, size_t size, size_t *offset, ExportEntry *ret) {
        ret->count = 0;
        if (*offset >= size)
                return 0;
        while (*offset < size && text[*offset] != '\n') {
                int r;

                if (ret->count >= EXPORT_FIELDS_MAX)
                        return -EBADMSG;
                r = field_read(text, size, offset, &ret->fields[ret->count]);
                if (r < 0)
                        return r;
                ret->count++;
        }
        if (*offset >= size || ret->count == 0)
                return -EBADMSG;
        (*offset)++;
        return 1;
}

const ExportField *export_find(const ExportEntry *entry, const char *name) {
        size_t n = strlen(name);

        for (size_t i = 0; i < entry->count; i++)
                if (entry->fields[i].name_size == n && memcmp(entry->fields[i].name, name, n) == 0)
                        return &entry->fields[i];
        return NULL;
}

int export_write_field(Buffer *b, const char *name, const void *data, size_t size) {
        uint64_t bytes = htole64(size);
        int binary = memchr(data, '\n', size) || memchr(data, '\0', size);
        int r = buffer_append_str(b, name);

        if (r >= 0)
                r = buffer_append(b, binary ? "\n" : "=", 1);
        if (r >= 0 && binary)
                r = buffer_append(b, &bytes, sizeof(bytes));
        if (r >= 0)
                r = buffer_append(b, data, size);
        return r < 0 ? r : buffer_append(b, "\n", 1);
}

int export_write_end(Buffer *b) {
        return buffer_append(b, "\n", 1);
}
