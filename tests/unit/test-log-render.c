/* Pages of a log: every format, whose log it is, and how much one page may hold. */
#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>

#include "chunk.h"
#include "cleanup.h"
#include "journal-export.h"
#include "log-render.h"
#include "../lib/tap.h"

#define COLUMNS 7

static bool rows_are_made = true;

static void set(PGresult *rows, int row, int column, const char *text) {
        rows_are_made &=
                PQsetvalue(rows, row, column, (char *) text, text ? (int) strlen(text) : -1) != 0;
}

/* A chunk of `lines` entries as PostgreSQL would send it. */
static char *make_chunk(const char *message, unsigned lines) {
        Buffer content = {}, frame = {}, hex = {};
        char *text = NULL;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < lines; i++) {
                r = export_write_field(&content, "__REALTIME_TIMESTAMP", "1", 1);
                r = r < 0 ? r : export_write_field(&content, "MESSAGE", message, strlen(message));
                r = r < 0 ? r : export_write_field(&content, "SLUICE_TASK", "another", 7);
                r = r < 0 ? r : export_write_end(&content);
        }
        r = r < 0 ? r : chunk_compress(content.data, content.size, &frame);
        r = r < 0 ? r : buffer_append_str(&hex, "\\x");
        for (size_t i = 0; r >= 0 && i < frame.size; i++)
                r = buffer_printf(&hex, "%02x", (unsigned char) frame.data[i]);
        ok_int(r < 0 ? r : buffer_take(&hex, &text), 0);
        buffer_done(&content);
        buffer_done(&frame);
        buffer_done(&hex);
        return text;
}

/* Rows as of api.run_logs(); the last says that the log is complete. */
static PGresult *make_rows(const char *chunk, int count) {
        static char names[COLUMNS][16] = { "task", "attempt", "epoch",   "sequence",
                                           "data", "next",    "complete" };
        PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
        PGresAttDesc columns[COLUMNS] = {};

        for (size_t i = 0; i < COLUMNS; i++)
                columns[i].name = names[i];
        ok_true(PQsetResultAttrs(rows, COLUMNS, columns));
        for (int i = 0; i < count; i++) {
                char next[32];

                (void) snprintf(next, sizeof(next), "1.1.1.%d", i + 1);
                set(rows, i, 0, "load");
                set(rows, i, 1, "some-attempt");
                set(rows, i, 2, "1");
                set(rows, i, 3, "1");
                set(rows, i, 4, chunk);
                set(rows, i, 5, next);
                set(rows, i, 6, i + 1 == count ? "t" : "f");
        }
        ok_true(rows_are_made);
        return rows;
}

static void test_formats(void) {
        static const struct {
                const char *accept, *wanted;
        } formats[] = {
                { NULL,
                  "{\"__REALTIME_TIMESTAMP\":\"1\",\"MESSAGE\":\"hi\",\"SLUICE_TASK\":\"load\","
                  "\"SLUICE_ATTEMPT\":\"some-attempt\"}\n" },
                { "text/plain", "hi\n" },
                { "application/vnd.fdo.journal",
                  "__REALTIME_TIMESTAMP=1\nMESSAGE=hi\nSLUICE_TASK=load\nSLUICE_ATTEMPT=some-"
                  "attempt\n\n" },
        };
        _cleanup_(freep) char *chunk = make_chunk("hi", 1);
        PGresult *rows = make_rows(chunk, 1);

        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                _cleanup_(log_page_done) LogPage page = {};

                ok_int(log_render((PgRows *) rows, log_format_of(formats[i].accept), &page), 0);
                ok_str(page.text.data, formats[i].wanted);
                ok_true(page.complete);
                ok_str(page.next, "1.1.1.1");
        }
        PQclear(rows);
}

static void test_nothing_yet(void) {
        _cleanup_(log_page_done) LogPage page = {};
        PGresult *rows = make_rows(NULL, 1);

        ok_int(log_render((PgRows *) rows, log_format_of(NULL), &page), 0);
        ok_int(page.chunks, 0);
        ok_int(page.text.size, 0);
        PQclear(rows);
}

static void test_page_is_bounded(void) {
        _cleanup_(log_page_done) LogPage page = {};
        _cleanup_(freep) char *chunk = make_chunk("the same line again", 40000);
        PGresult *rows = make_rows(chunk, 100);

        ok_true(strlen(chunk) < 32 * 1024);
        ok_int(log_render((PgRows *) rows, log_format_of(NULL), &page), 0);
        ok_true(page.text.size >= LOG_PAGE_BYTES && page.text.size < 4 * LOG_PAGE_BYTES);
        ok_true(page.chunks < 100);
        ok_true(!page.complete);
        ok_str(page.next, PQgetvalue(rows, (int) page.chunks - 1, 5));
        PQclear(rows);
}

/* Of a log that says next to nothing in this format. */
static void test_what_is_left_out_is_bounded_too(void) {
        _cleanup_(log_page_done) LogPage page = {};
        _cleanup_(freep) char *chunk = make_chunk("", 40000);
        PGresult *rows = make_rows(chunk, 100);

        ok_int(log_render((PgRows *) rows, log_format_of("text/plain"), &page), 0);
        ok_true(page.text.size < LOG_PAGE_BYTES);
        ok_true(page.read >= LOG_READ_BYTES && page.read < 2 * LOG_READ_BYTES);
        ok_true(page.chunks < 100 && !page.complete);
        PQclear(rows);
}

static void test_damaged_chunk_is_an_error(void) {
        _cleanup_(log_page_done) LogPage page = {};
        PGresult *rows = make_rows("\\x00112233", 1);

        ok_int(log_render((PgRows *) rows, log_format_of(NULL), &page), -EBADMSG);
        PQclear(rows);
}

int main(void) {
        RUN(test_formats);
        RUN(test_nothing_yet);
        RUN(test_page_is_bounded);
        RUN(test_what_is_left_out_is_bounded_too);
        RUN(test_damaged_chunk_is_an_error);
        return tap_done();
}
