/* Identifiers: UUIDs as 36-character text on the wire and in SQL, as 32 hex digits in unit names. */
#pragma once

#include <stdbool.h>

#define ID_TEXT_SIZE 37 /* with the final NUL */
#define ID_HEX_SIZE 33

typedef struct Id {
        unsigned char bytes[16];
} Id;

/* Either form, any case. -EINVAL leaves *ret alone. */
int id_parse(const char *s, Id *ret);
const char *id_to_text(Id id, char text[ID_TEXT_SIZE]);
const char *id_to_hex(Id id, char hex[ID_HEX_SIZE]);
bool id_equal(Id a, Id b);
bool id_is_null(Id id);

/* Random (version 4). -errno when the kernel has no randomness to give. */
int id_random(Id *ret);

/* Kind prefix ("sluice_tk_") + 43 base64url characters of 32 random bytes. */
#define SECRET_TEXT_MAX 64
int secret_generate(const char *prefix, char text[SECRET_TEXT_MAX]);
