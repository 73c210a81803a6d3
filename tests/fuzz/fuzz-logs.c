/* Entries of the export format that are read can be written, and come back the same; chunks are refused or whole. */
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "cleanup.h"
#include "fuzz.h"
#include "journal-export.h"

static void check_entry(const ExportEntry *entry) {
        ExportEntry again;
        Buffer b = {};
        size_t offset = 0;

        for (size_t i = 0; i < entry->count; i++) {
                char name[256];

                if (entry->fields[i].name_size >= sizeof(name)) {
                        buffer_done(&b);
                        return;
                }
                (void) memcpy(name, entry->fields[i].name, entry->fields[i].name_size);
                name[entry->fields[i].name_size] = '\0';
                HOLDS(export_write_field(&b, name, entry->fields[i].data, entry->fields[i].size) >=
                      0);
        }
        HOLDS(export_write_end(&b) >= 0);
        HOLDS(export_read(b.data, b.size, &offset, &again) == 1);
        HOLDS(again.count == entry->count);
        for (size_t i = 0; i < entry->count; i++) {
                HOLDS(again.fields[i].size == entry->fields[i].size);
                HOLDS(memcmp(again.fields[i].data, entry->fields[i].data, again.fields[i].size) ==
                      0);
        }
        buffer_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *content = NULL;
        const char *text = (const char *) data;
        size_t offset = 0, before = 0, content_size;
        ExportEntry entry;
        unsigned entries;

        while (export_read(text, size, &offset, &entry) > 0) {
                HOLDS(offset > before && offset <= size);
                before = offset;
                check_entry(&entry);
        }
        if (chunk_check(text, size, &entries, &content_size) >= 0)
                HOLDS(entries > 0 && content_size <= CHUNK_CONTENT_MAX);
        if (chunk_decompress(text, size, &content, &content_size) >= 0)
                HOLDS(content_size <= CHUNK_CONTENT_MAX);
        return 0;
}
