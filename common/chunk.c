/* zstd frames of bounded size. Wraps libzstd. */
#include "chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "cleanup.h"
#include "journal-export.h"

#define LEVEL 3

int chunk_compress(const char *content, size_t size, Buffer *out) {
        size_t bound = ZSTD_compressBound(size), n;
        int r = buffer_reserve(out, bound);

        if (r < 0)
                return r;
        n = ZSTD_compress(out->data + out->size, bound, content, size, LEVEL);
        if (ZSTD_isError(n))
                return -ENOMEM;
        out->size += n;
        return 0;
}

int chunk_decompress(const char *data, size_t size, char **ret, size_t *ret_size) {
        unsigned long long content = ZSTD_getFrameContentSize(data, size);
        _cleanup_(freep) char *text = NULL;
        size_t n;

        if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR ||
            content > CHUNK_CONTENT_MAX || ZSTD_findFrameCompressedSize(data, size) != size)
                return -EBADMSG;
        text = malloc(content + 1);
        if (!text)
                return -ENOMEM;
        n = ZSTD_decompress(text, content, data, size);
        if (ZSTD_isError(n) || n != content)
                return -EBADMSG;
        text[n] = '\0';
        *ret_size = n;
        *ret = TAKE_PTR(text);
        return 0;
}

int chunk_check(const char *data, size_t size, unsigned *ret_entries, size_t *ret_content_size) {
        _cleanup_(freep) char *text = NULL;
        size_t content, offset = 0;
        unsigned entries = 0;
        ExportEntry entry;
        int r = chunk_decompress(data, size, &text, &content);

        if (r < 0)
                return r;
        while ((r = export_read(text, content, &offset, &entry)) > 0) {
                if (!export_find(&entry, "MESSAGE") || !export_find(&entry, "__REALTIME_TIMESTAMP"))
                        return -EBADMSG;
                entries++;
        }
        if (r < 0 || entries == 0)
                return -EBADMSG;
        *ret_entries = entries;
        *ret_content_size = content;
        return 0;
}
