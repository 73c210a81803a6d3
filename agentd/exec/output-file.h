/* Reads what a task left in $SLUICE_OUTPUT. Its content and what the file is are the task's to choose, so both are hostile. */
#pragma once

#include "error.h"
#include "str.h"

#define OUTPUT_FILE_MAX (64U * 1024)

/* All of the regular file of that name in the directory; nothing when there is none. -EPERM with words for what is no such file, is too large
 * or changes meanwhile. Opens nothing that is no regular file, follows no symbolic link, never waits. */
int output_read(const char *directory, const char *name, Buffer *ret, Error *e);
