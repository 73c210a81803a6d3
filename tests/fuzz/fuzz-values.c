/* Numbers, spans, identifiers, command lines and the values of every directive: one line of input each. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive.h"
#include "fuzz.h"
#include "id.h"
#include "parse.h"
#include "strv.h"
#include "timespan.h"

static void check_directives(const char *line) {
        for (const Directive *d = directives; d->name; d++) {
                Error e = {};
                int r = directive_check(d, line, &e);

                HOLDS(r <= 0);
        }
        (void) directive_nearest(line);
}

static void check_command(const char *line) {
        _cleanup_(strv_freep) char **words = NULL;
        ExecCommand command = {};
        Error e = {};

        (void) words_split(line, &words, &e);
        if (exec_command_parse(line, &command, &e) >= 0)
                HOLDS(command.argv && command.argv[0][0] == '/');
        exec_command_done(&command);
}

static void check_numbers(const char *line) {
        char text[TIMESPAN_TEXT_MAX];
        uint64_t n;
        bool flag;
        Id id;

        (void) parse_u64(line, &n);
        (void) parse_size(line, &n);
        (void) parse_bool(line, &flag);
        (void) quota_parse(line, &n);
        (void) limit_parse(line, &n, &flag);
        if (timespan_parse(line, &n) >= 0)
                HOLDS(timespan_parse(timespan_format(n, text), &n) >= 0);
        if (id_parse(line, &id) >= 0) {
                char hex[ID_HEX_SIZE];
                Id again;

                HOLDS(id_parse(id_to_hex(id, hex), &again) >= 0 && id_equal(id, again));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);

        for (char *save, *line = text ? strtok_r(text, "\n", &save) : NULL; line;
             line = strtok_r(NULL, "\n", &save)) {
                check_directives(line);
                check_command(line);
                check_numbers(line);
        }
        return 0;
}
