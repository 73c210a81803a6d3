/* Text to numbers, strictly: the whole text or -EINVAL; too large is -ERANGE. No locale, no leading white space or sign. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_u64_range(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* systemd's booleans: 1 yes y true t on / 0 no n false f off, any case. */
int parse_bool(const char *s, bool *ret);

/* systemd's sizes: digits with an optional suffix K M G T P E, to base 1024; fractions as "1.5G". */
int parse_size(const char *s, uint64_t *ret_bytes);
