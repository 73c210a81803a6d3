/* Log chunks: one zstd frame of journal export text, see docs/PROTOCOL.md. */
#pragma once

#include <stddef.h>

#include "str.h"

#define CHUNK_DATA_MAX (1024 * 1024)        /* compressed */
#define CHUNK_CONTENT_MAX (4 * 1024 * 1024) /* inside */

/* Appends the frame to *out. */
int chunk_compress(const char *content, size_t size, Buffer *out);

/* The content, owned by the caller. -EBADMSG when it is not one whole frame with its size in the header, or too large. */
int chunk_decompress(const char *data, size_t size, char **ret, size_t *ret_size);

/* Decompresses, reads every entry and counts them: what a control plane asks of a chunk before it stores it. */
int chunk_check(const char *data, size_t size, unsigned *ret_entries, size_t *ret_content_size);
