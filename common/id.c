/* Identifiers and secrets, both from the kernel's random numbers. */
#include "id.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char) tolower((unsigned char) c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -EINVAL;
}

int id_parse(const char *s, Id *ret) {
        bool dashes = strlen(s) == ID_TEXT_SIZE - 1;
        Id id = {};

        if (!dashes && strlen(s) != ID_HEX_SIZE - 1)
                return -EINVAL;
        for (int i = 0; i < 16; i++) {
                int high, low;

                if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
                        return -EINVAL;
                high = hex_value(s[0]);
                low = high < 0 ? high : hex_value(s[1]);
                if (low < 0)
                        return -EINVAL;
                id.bytes[i] = (unsigned char) (high << 4 | low);
                s += 2;
        }
        *ret = id;
        return 0;
}

const char *id_to_hex(Id id, char hex[ID_HEX_SIZE]) {
        for (int i = 0; i < 16; i++)
                (void) snprintf(hex + 2 * i, 3, "%02x", id.bytes[i]);
        return hex;
}

const char *id_to_text(Id id, char text[ID_TEXT_SIZE]) {
        char hex[ID_HEX_SIZE];

        (void) id_to_hex(id, hex);
        (void) snprintf(text, ID_TEXT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                        hex + 16, hex + 20);
        return text;
}

bool id_equal(Id a, Id b) {
        return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

bool id_is_null(Id id) {
        return id_equal(id, (Id){});
}

static int random_bytes(void *data, size_t size) {
        ssize_t n = getrandom(data, size, 0);

        if (n < 0)
                return -errno;
        return (size_t) n == size ? 0 : -EIO;
}

int id_random(Id *ret) {
        Id id;
        int r = random_bytes(&id, sizeof(id));

        if (r < 0)
                return r;
        id.bytes[6] = (id.bytes[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 10 */
        id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80;
        *ret = id;
        return 0;
}

int secret_generate(const char *prefix, char text[SECRET_TEXT_MAX]) {
        static const char alphabet[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        unsigned char random[33] = {};
        size_t n = strlen(prefix);
        int r;

        if (n + 44 > SECRET_TEXT_MAX)
                return -EINVAL;
        r = random_bytes(random, 32);
        if (r < 0)
                return r;
        (void) memcpy(text, prefix, n);
        for (int i = 0; i < 43; i++) {
                unsigned bit = 6 * (unsigned) i,
                         word = (unsigned) random[bit / 8] << 8 | random[bit / 8 + 1];

                text[n++] = alphabet[word >> (10 - bit % 8) & 0x3f];
        }
        text[n] = '\0';
        return 0;
}
