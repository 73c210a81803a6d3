/* Strict parsing of numbers, booleans and sizes. libc only. */
#include "parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"

/* Reads decimal digits from *s, moving it behind them. -EINVAL when there are none. */
static int parse_digits(const char **s, uint64_t *ret) {
        uint64_t value = 0;
        const char *p = *s;

        if (!isdigit((unsigned char) *p))
                return -EINVAL;
        for (; isdigit((unsigned char) *p); p++)
                if (__builtin_mul_overflow(value, 10U, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value))
                        return -ERANGE;
        *s = p;
        *ret = value;
        return 0;
}

int parse_u64(const char *s, uint64_t *ret) {
        uint64_t value;
        int r = parse_digits(&s, &value);

        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;
        *ret = value;
        return 0;
}

int parse_u64_range(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t value;
        int r = parse_u64(s, &value);

        if (r < 0)
                return r;
        if (value < min || value > max)
                return -ERANGE;
        *ret = value;
        return 0;
}

int parse_u32(const char *s, uint32_t *ret) {
        uint64_t value;
        int r = parse_u64_range(s, 0, UINT32_MAX, &value);

        if (r < 0)
                return r;
        *ret = (uint32_t) value;
        return 0;
}

int parse_bool(const char *s, bool *ret) {
        static const char *const words[2][5] = { { "0", "no", "n", "false", "f" },
                                                 { "1", "yes", "y", "true", "t" } };

        for (size_t value = 0; value < 2; value++)
                for (size_t i = 0; i < ELEMENTSOF(words[value]); i++)
                        if (strcasecmp(s, words[value][i]) == 0) {
                                *ret = value;
                                return 0;
                        }
        if (strcasecmp(s, "on") != 0 && strcasecmp(s, "off") != 0)
                return -EINVAL;
        *ret = strcasecmp(s, "on") == 0;
        return 0;
}

int parse_size(const char *s, uint64_t *ret_bytes) {
        static const char suffixes[] = "BKMGTPE";
        uint64_t whole, fraction = 0, scale = 1, unit = 1, bytes;
        const char *suffix;
        int r = parse_digits(&s, &whole);

        if (r < 0)
                return r;
        if (*s == '.') {
                const char *begin = ++s;

                r = parse_digits(&s, &fraction);
                if (r < 0)
                        return r;
                if (s - begin > 6)
                        return -EINVAL;
                for (; begin < s; begin++)
                        scale *= 10;
        }
        if (*s) {
                suffix = strchr(suffixes, *s);
                if (!suffix || s[1])
                        return -EINVAL;
                unit <<= 10 * (suffix - suffixes);
        }
        if (__builtin_mul_overflow(whole, unit, &bytes) ||
            __builtin_add_overflow(bytes, (uint64_t) ((unsigned __int128) fraction * unit / scale),
                                   &bytes))
                return -ERANGE;
        *ret_bytes = bytes;
        return 0;
}
