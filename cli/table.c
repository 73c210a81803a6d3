/* Keeps all cells, then prints. */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "str.h"

typedef struct Cell {
        char *text; /* owned */
        Colour colour;
} Cell;

struct Table {
        Cell *cells; /* owned, with the header first */
        size_t count, allocated, columns;
        int error;
};

static const char *const sequences[] = {
        [COLOUR_NONE] = "",           [COLOUR_GREEN] = "\033[32m", [COLOUR_RED] = "\033[31m",
        [COLOUR_YELLOW] = "\033[33m", [COLOUR_GREY] = "\033[90m",
};

static bool with_colour(void) {
        const char *no = getenv("NO_COLOR");

        return isatty(STDOUT_FILENO) && !(no && *no) && !str_eq(getenv("TERM"), "dumb");
}

const char *colour_begin(Colour c) {
        return with_colour() ? sequences[c] : "";
}

const char *colour_end(Colour c) {
        return with_colour() && c != COLOUR_NONE ? "\033[0m" : "";
}

Colour colour_of_state(const char *state) {
        static const struct {
                const char *state;
                Colour colour;
        } colours[] = {
                { "success", COLOUR_GREEN },   { "succeeded", COLOUR_GREEN },
                { "running", COLOUR_GREEN },   { "Running", COLOUR_GREEN },
                { "queued", COLOUR_YELLOW },   { "waiting", COLOUR_YELLOW },
                { "assigned", COLOUR_YELLOW }, { "Pending", COLOUR_YELLOW },
                { "Unknown", COLOUR_RED },     { "Stopped", COLOUR_GREY },
                { "cancelled", COLOUR_GREY },  { "skipped", COLOUR_GREY },
                { "valid", COLOUR_GREEN },     { "revoked", COLOUR_GREY },
                { "starting", COLOUR_YELLOW }, { "replacing", COLOUR_YELLOW },
                { "stopping", COLOUR_YELLOW }, { "ended", COLOUR_GREY },
        };

        if (!state)
                return COLOUR_NONE;
        for (size_t i = 0; i < ELEMENTSOF(colours); i++)
                if (str_eq(colours[i].state, state))
                        return colours[i].colour;
        return COLOUR_RED; /* systemd's words for what went wrong */
}

/* The next character: its bytes and columns. Bytes that are no character take one column each. */
static size_t next_character(const char *s, size_t *ret_width) {
        mbstate_t state = {};
        wchar_t wide;
        size_t n = mbrtowc(&wide, s, strlen(s), &state);
        int width;

        if (n == (size_t) -1 || n == (size_t) -2 || n == 0) {
                *ret_width = 1;
                return 1;
        }
        width = wcwidth(wide);
        *ret_width = width < 0 ? 1 : (size_t) width;
        return n;
}

size_t text_width(const char *s) {
        size_t total = 0, width;

        while (*s) {
                s += next_character(s, &width);
                total += width;
        }
        return total;
}

static char *escape(const char *s, size_t size, const wchar_t *allowed) {
        Buffer b = {};
        char *text = NULL;
        int r = 0;

        for (size_t i = 0, n; r >= 0 && i < size; i += n) {
                mbstate_t state = {};
                wchar_t wide;

                n = mbrtowc(&wide, s + i, size - i, &state);
                if (n == (size_t) -1 || n == (size_t) -2 || n == 0 ||
                    (wcwidth(wide) < 0 && !wcschr(allowed, wide))) {
                        n = n == 0 || n > 4 ? 1 : n;
                        for (size_t k = 0; r >= 0 && k < n; k++)
                                r = buffer_printf(&b, "\\x%02x", (unsigned char) s[i + k]);
                } else {
                        r = buffer_append(&b, s + i, n);
                }
        }
        if (r >= 0)
                r = buffer_take(&b, &text);
        buffer_done(&b);
        return r < 0 ? NULL : text;
}

char *text_escape(const char *s, size_t size) {
        return escape(s, size, L"\t");
}

char *text_escape_lines(const char *s, size_t size) {
        return escape(s, size, L"\t\n");
}

int table_new(const char *const header[], Table **ret) {
        Table *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        while (header[t->columns])
                t->columns++;
        for (size_t i = 0; i < t->columns; i++)
                table_add(t, header[i]);
        *ret = t;
        return 0;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->count; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t);
        return NULL;
}

void table_add_colour(Table *t, const char *text, Colour colour) {
        char *copy = text && *text ? text_escape(text, strlen(text)) : strdup("-");

        if (copy && t->count == t->allocated) {
                size_t more = t->allocated ? t->allocated * 2 : 64;
                Cell *grown = reallocarray(t->cells, more, sizeof(*grown));

                if (grown) {
                        t->cells = grown;
                        t->allocated = more;
                }
        }
        if (!copy || t->count == t->allocated) {
                free(copy);
                t->error = -ENOMEM;
                return;
        }
        t->cells[t->count++] = (Cell){ copy, colour };
}

void table_add(Table *t, const char *text) {
        table_add_colour(t, text, COLOUR_NONE);
}

void table_addf(Table *t, const char *fmt, ...) {
        char text[512];
        va_list ap;

        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        table_add(t, text);
}

static size_t terminal_width(void) {
        struct winsize size = {};
        const char *columns = getenv("COLUMNS");

        if (!isatty(STDOUT_FILENO))
                return SIZE_MAX;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0)
                return size.ws_col;
        return columns && atoi(columns) > 0 ? (size_t) atoi(columns) : 80;
}

/* At most max columns of the text, the last an ellipsis when it was cut. */
static size_t print_cut(const char *s, size_t max) {
        size_t used = 0, width;
        bool cut = text_width(s) > max;

        while (*s) {
                size_t n = next_character(s, &width);

                if (cut && used + width + 1 > max)
                        break;
                (void) fwrite(s, 1, n, stdout);
                s += n;
                used += width;
        }
        if (cut && max > 0) {
                (void) fputs("…", stdout);
                used++;
        }
        return used;
}

static void print_row(const Table *t, size_t row, const size_t *widths, size_t room) {
        size_t used = 0;

        for (size_t i = 0; i < t->columns; i++) {
                const Cell *cell = &t->cells[row * t->columns + i];
                bool last = i + 1 == t->columns;
                size_t left = room > used ? room - used : 0, n;

                (void) fputs(row == 0 ? "" : colour_begin(cell->colour), stdout);
                n = print_cut(cell->text, left < widths[i] || last ? left : widths[i]);
                (void) fputs(row == 0 ? "" : colour_end(cell->colour), stdout);
                used += n;
                for (; !last && n < widths[i] + 2 && used < room; n++, used++)
                        (void) fputc(' ', stdout);
        }
        (void) fputc('\n', stdout);
}

int table_print(const Table *t, const char *what) {
        _cleanup_(freep) size_t *widths = calloc(t->columns, sizeof(*widths));
        size_t rows = t->count / t->columns, room = terminal_width();

        if (t->error < 0 || !widths)
                return -ENOMEM;
        for (size_t i = 0; i < rows * t->columns; i++) {
                size_t width = text_width(t->cells[i].text);

                if (width > widths[i % t->columns])
                        widths[i % t->columns] = width;
        }
        for (size_t row = 0; rows > 1 && row < rows; row++)
                print_row(t, row, widths, room);
        if (what && isatty(STDOUT_FILENO))
                (void) printf("%s%zu %s listed.\n", rows > 1 ? "\n" : "", rows - 1, what);
        else if (what && rows == 1)
                (void) fprintf(stderr, "0 %s listed.\n", what);
        return 0;
}
