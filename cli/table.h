/* Tables as systemctl prints them: aligned by display width; on a terminal cut to its width, and with colours. */
#pragma once

#include <stddef.h>

#include "cleanup.h"

typedef enum Colour {
        COLOUR_NONE,
        COLOUR_GREEN,
        COLOUR_RED,
        COLOUR_YELLOW,
        COLOUR_GREY,
} Colour;

typedef struct Table Table;

/* header: as many texts as columns, NULL-terminated. */
int table_new(const char *const header[], Table **ret);
Table *table_free(Table *t);
DEFINE_SCOPE_EXIT(Table, table_free)

/* Cells go from left to right, row after row. NULL shows as "-". Out of memory shows at table_print(). */
void table_add(Table *t, const char *text);
void table_add_colour(Table *t, const char *text, Colour colour);
void table_addf(Table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* To stdout; what: "runs", for the line "0 runs listed.". */
int table_print(const Table *t, const char *what);

/* The text that a person's terminal may get: control characters and bytes that are not UTF-8 become \xNN. New string. */
char *text_escape(const char *s, size_t size);
/* The same, but lines stay lines. */
char *text_escape_lines(const char *s, size_t size);
/* Columns that the text takes. */
size_t text_width(const char *s);

Colour colour_of_state(const char *state);
const char *colour_begin(Colour c); /* "" when stdout is no terminal, or NO_COLOR is set */
const char *colour_end(Colour c);
