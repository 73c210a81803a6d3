/* The journal's export format and chunks of it, from friends and enemies. */
#include <errno.h>

#include "chunk.h"
#include "cleanup.h"
#include "journal-export.h"
#include "../lib/tap.h"

static void write_entry(Buffer *b, const char *message, size_t size) {
        ok_int(export_write_field(b, "__CURSOR", "s=1;i=2", 7), 0);
        ok_int(export_write_field(b, "__REALTIME_TIMESTAMP", "1", 1), 0);
        ok_int(export_write_field(b, "MESSAGE", message, size), 0);
        ok_int(export_write_end(b), 0);
}

static void test_entries_come_back(void) {
        static const char binary[] = "a\nb\0c\xff";
        Buffer b = {};
        ExportEntry entry;
        size_t offset = 0;

        write_entry(&b, "plain", 5);
        write_entry(&b, binary, sizeof(binary) - 1);
        write_entry(&b, "", 0);
        ok_int(export_read(b.data, b.size, &offset, &entry), 1);
        ok_int(entry.count, 3);
        ok_int(export_find(&entry, "MESSAGE")->size, 5);
        ok_null(export_find(&entry, "MESS"));
        ok_int(export_read(b.data, b.size, &offset, &entry), 1);
        ok_int(export_find(&entry, "MESSAGE")->size, sizeof(binary) - 1);
        ok_int(memcmp(export_find(&entry, "MESSAGE")->data, binary, sizeof(binary) - 1), 0);
        ok_int(export_read(b.data, b.size, &offset, &entry), 1);
        ok_int(export_find(&entry, "MESSAGE")->size, 0);
        ok_int(export_read(b.data, b.size, &offset, &entry), 0);
        buffer_done(&b);
}

/* From memory of exactly that size, so that a sanitizer sees a read behind the end. */
static int read_all(const char *text, size_t size) {
        _cleanup_(freep) char *exact = malloc(size);
        ExportEntry entry;
        size_t offset = 0, before;
        int r;

        if (!exact)
                return -ENOMEM;
        (void) memcpy(exact, text, size);
        do {
                before = offset;
                r = export_read(exact, size, &offset, &entry);
        } while (r > 0 && offset > before);
        return r;
}

static void test_damaged_entries_are_refused(void) {
        static const struct {
                const char *text;
                size_t size;
        } bad[] = {
#define BAD(s) { s, sizeof(s) - 1 }
                BAD("MESSAGE"),
                BAD("MESSAGE=x"),
                BAD("=x\n\n"),
                BAD("MESSAGE\n\x05\0\0\0\0\0\0\0abc\n\n"),
                BAD("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"),
                BAD("MESSAGE\n\x01\0\0"),
                /* Sizes that end at a newline: one behind the text, one in front of it, by wrapping around. */
                BAD("MESSAGE\n\x06\0\0\0\0\0\0\0abc\n\n"),
                BAD("MESSAGE\n\xf7\xff\xff\xff\xff\xff\xff\xff"
                    "abc\n\n"),
                BAD("MESSAGE\n\x03\0\0\0\0\0\0\0abcX\n"),
#undef BAD
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ok_int(read_all(bad[i].text, bad[i].size), -EBADMSG);
}

static void test_fields_are_bounded(void) {
        Buffer b = {};

        for (int i = 0; i < EXPORT_FIELDS_MAX; i++)
                if (export_write_field(&b, "FIELD", "x", 1) < 0)
                        break;
        ok_int(export_write_end(&b), 0);
        ok_int(read_all(b.data, b.size), 0);
        b.size--;
        ok_int(export_write_field(&b, "FIELD", "x", 1), 0);
        ok_int(export_write_end(&b), 0);
        ok_int(read_all(b.data, b.size), -EBADMSG);
        buffer_done(&b);
}

static void test_chunks_come_back(void) {
        _cleanup_(freep) char *content = NULL;
        Buffer text = {}, frame = {};
        unsigned entries = 0;
        size_t size = 0;

        for (int i = 0; i < 1000; i++)
                write_entry(&text, "the same line again", 19);
        ok_int(chunk_compress(text.data, text.size, &frame), 0);
        ok_true(frame.size < text.size / 10);
        ok_int(chunk_check(frame.data, frame.size, &entries, &size), 0);
        ok_int(entries, 1000);
        ok_int(size, text.size);
        ok_int(chunk_decompress(frame.data, frame.size, &content, &size), 0);
        ok_int(memcmp(content, text.data, text.size), 0);
        buffer_done(&text);
        buffer_done(&frame);
}

static void test_what_does_not_compress_fits(void) {
        Buffer text = {}, frame = {};
        uint64_t state = 88172645463325252ULL;

        for (int i = 0; i < 960 * 1024 / 8; i++) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                if (buffer_append(&text, &state, sizeof(state)) < 0)
                        break;
        }
        ok_int(chunk_compress(text.data, text.size, &frame), 0);
        ok_true(frame.size <= CHUNK_DATA_MAX);
        buffer_done(&text);
        buffer_done(&frame);
}

static void test_bad_chunks_are_refused(void) {
        static const char skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0 };
        Buffer text = {}, frame = {}, bomb = {};
        char *content = NULL;
        size_t size;
        unsigned entries;

        write_entry(&text, "x", 1);
        ok_int(chunk_compress(text.data, text.size, &frame), 0);
        ok_int(chunk_decompress(frame.data, frame.size - 1, &content, &size), -EBADMSG);
        ok_int(chunk_decompress("", 0, &content, &size), -EBADMSG);
        ok_int(chunk_decompress("not zstd at all", 15, &content, &size), -EBADMSG);
        ok_int(buffer_append(&frame, "x", 1), 0);
        ok_int(chunk_decompress(frame.data, frame.size, &content, &size), -EBADMSG);
        frame.size--;
        ok_int(buffer_append(&frame, skippable, sizeof(skippable)), 0);
        ok_int(chunk_decompress(frame.data, frame.size, &content, &size), -EBADMSG);
        ok_null(content);
        frame.size = 0;
        ok_int(chunk_compress("", 0, &frame), 0);
        ok_int(chunk_check(frame.data, frame.size, &entries, &size), -EBADMSG);

        text.size = 0;
        for (int i = 0; i < 5 * 1024; i++)
                if (buffer_append(&text, (char[1024]){}, 1024) < 0)
                        break;
        ok_int(chunk_compress(text.data, text.size, &bomb), 0);
        ok_true(bomb.size < CHUNK_DATA_MAX);
        ok_int(chunk_decompress(bomb.data, bomb.size, &content, &size), -EBADMSG);
        ok_int(chunk_check(bomb.data, bomb.size, &entries, &size), -EBADMSG);
        buffer_done(&text);
        buffer_done(&frame);
        buffer_done(&bomb);
}

int main(void) {
        RUN(test_entries_come_back);
        RUN(test_damaged_entries_are_refused);
        RUN(test_fields_are_bounded);
        RUN(test_chunks_come_back);
        RUN(test_what_does_not_compress_fits);
        RUN(test_bad_chunks_are_refused);
        return tap_done();
}
