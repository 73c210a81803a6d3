/* systemd's Journal Export Format, see "Journal Export Formats" in systemd's documentation: writer for the agent, reader for
 * chunks that anybody may have sent. Fields are lines NAME=value, or NAME, newline, little-endian 64-bit size, bytes, newline;
 * an empty line ends an entry. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "str.h"

#define EXPORT_FIELDS_MAX 64

typedef struct ExportField {
        const char *name; /* borrowed from the text, not terminated */
        size_t name_size;
        const char *data; /* borrowed from the text */
        size_t size;
} ExportField;

typedef struct ExportEntry {
        ExportField fields[EXPORT_FIELDS_MAX];
        size_t count;
} ExportEntry;

/* Reads the entry at *offset, moving it behind. 1 when there was one, 0 at the end, -EBADMSG when it is not the format. */
int export_read(const char *text, size_t size, size_t *offset, ExportEntry *ret);

const ExportField *export_find(const ExportEntry *entry, const char *name);

/* Adds a field; binary form when the data needs it. 0 or -ENOMEM. */
int export_write_field(Buffer *b, const char *name, const void *data, size_t size);
int export_write_end(Buffer *b);
