/* What a task leaves for later ones: KEY=VALUE lines, or one JSON object of texts, numbers and booleans. */
#pragma once

#include <stddef.h>

#include "error.h"

#define TASK_OUTPUT_KEYS_MAX 256

/* Key, value, key, value in *ret, owned; NULL when there is nothing. A key that stands twice has its last value. -EINVAL with words that do
 * not repeat what may be a secret, or -ENOMEM. */
int task_output_parse(const char *data, size_t size, char ***ret, Error *e);
