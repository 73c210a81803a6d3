/* Paths, lists and labels. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "str.h"
#include "strv.h"
#include "verbs.h"

char *path_format(const char *fmt, ...) {
        Buffer b = {};
        char *path = NULL;
        va_list ap;
        int r = 0;

        va_start(ap, fmt);
        for (const char *p = fmt; r >= 0 && *p; p++) {
                if (p[0] == '%' && p[1] == 's') {
                        r = buffer_append_percent(&b, va_arg(ap, const char *));
                        p++;
                } else {
                        r = buffer_append(&b, p, 1);
                }
        }
        va_end(ap);
        if (r >= 0)
                r = buffer_take(&b, &path);
        buffer_done(&b);
        return r < 0 ? NULL : path;
}

const char *option_value(const Context *x, Option o) {
        return x->arguments->values[o];
}

int path_add_option(char **path, const Context *x, Option o, const char *name) {
        _cleanup_(freep) char *part = NULL;
        char *longer;

        if (!option_value(x, o))
                return 0;
        part = path_format("%s", option_value(x, o));
        longer = part ? str_format("%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', name, part)
                      : NULL;
        if (!longer)
                return -ENOMEM;
        free(*path);
        *path = longer;
        return 0;
}

int reply_decode(const Reply *reply, const JsonField *fields, void *target) {
        Error e = {};
        int r = shape_decode(reply, fields, target, &e);

        return r < 0 ? complain(r, "%s", error_text(&e, r)) : 0;
}

int print_json(const Reply *reply) {
        static const JsonField nothing[] = { {} };
        char target = 0;
        int r = reply_decode(reply, nothing, &target);

        if (r < 0)
                return r;
        (void) fwrite(reply->body, 1, reply->size, stdout);
        (void) fputc('\n', stdout);
        return 0;
}

/* The items of a page without their brackets, as JSON text. */
static int append_items(const Reply *reply, Buffer *out) {
        char *raw = NULL;
        const JsonField fields[] = { { "items", JSON_RAW, true, 0, .max = SIZE_MAX >> 1 }, {} };
        int r = reply_decode(reply, fields, &raw);
        size_t n = raw ? strlen(raw) : 0;

        if (r >= 0 && n > 2 && out->size > 0)
                r = buffer_append_str(out, ",");
        if (r >= 0 && n > 2)
                r = buffer_append(out, raw + 1, n - 2);
        free(raw);
        return r;
}

/* Counts the items, and calls on_item for those within max. */
static int take_page(const Reply *reply, const JsonField *page_fields, size_t item_size, size_t max,
                     on_item_t on_item, void *userdata, size_t *count, char **next) {
        Page page = {};
        int r = reply_decode(reply, page_fields, &page);

        if (r < 0)
                return r;
        for (size_t i = 0; i < page.items.count && (max == 0 || *count < max); i++, (*count)++)
                if (on_item)
                        on_item((const char *) page.items.items + i * item_size, userdata);
        if (str_eq(*next, page.next)) /* going round in a circle */
                page.next = (free(page.next), NULL);
        free(*next);
        *next = TAKE_PTR(page.next);
        json_done(page_fields, &page);
        return 0;
}

char *page_path(const char *path, size_t limit, const char *after) {
        _cleanup_(freep) char *escaped = path_format("%s", after ? after : "");

        return escaped ? str_format("%s%climit=%zu%s%s", path, strchr(path, '?') ? '&' : '?', limit,
                                    after ? "&after=" : "", escaped)
                       : NULL;
}

static void print_items(const Buffer *items, const char *next) {
        JsonOut o = {};
        _cleanup_(freep) char *text = NULL;

        json_out_text(&o, NULL, next);
        if (json_out_take(&o, &text) >= 0)
                (void) printf("{\"items\":[%s],\"next\":%s}\n", items->data ? items->data : "",
                              text);
}

int list_all(Context *x, const char *path, const JsonField *page_fields, size_t item_size,
             size_t max, on_item_t on_item, void *userdata) {
        _cleanup_(freep) char *next = NULL;
        Buffer items = {};
        size_t count = 0;
        int r;

        do {
                size_t left = max == 0 || max - count > PAGE_MAX ? PAGE_MAX : max - count;
                _cleanup_(freep) char *page = page_path(path, left, next);
                Reply reply = {};

                r = page ? client_get(x->client, page, &reply) : -ENOMEM;
                if (r >= 0 && x->json)
                        r = append_items(&reply, &items);
                if (r >= 0)
                        r = take_page(&reply, page_fields, item_size, max, x->json ? NULL : on_item,
                                      userdata, &count, &next);
                reply_done(&reply);
        } while (r >= 0 && next && (max == 0 || count < max));
        if (r >= 0 && x->json)
                print_items(&items, next);
        x->more = r >= 0 && next;
        buffer_done(&items);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

char *labels_text(char *const *labels) {
        Buffer b = {};
        char *text = NULL;
        int r = 0;

        for (char *const *l = labels; r >= 0 && l && l[0]; l += 2)
                r = buffer_printf(&b, "%s%s%s%s", b.size ? ", " : "", l[0], *l[1] ? "=" : "", l[1]);
        if (r >= 0)
                r = buffer_take(&b, &text);
        buffer_done(&b);
        return r < 0 ? NULL : text;
}
