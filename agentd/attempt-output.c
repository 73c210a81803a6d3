/* The output of an attempt that has succeeded. One that cannot be read makes the attempt a failure, with the result "output": what comes
 * after it would go on without what it relies on. */
#include "attempt-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json-out.h"
#include "str.h"
#include "strv.h"
#include "task-output.h"

static void fail(Attempt *a, const char *words) {
        _cleanup_(freep) char *reason = str_format("Its $SLUICE_OUTPUT does not count: %s.", words);

        (void) strcpy(a->result, "output");
        (void) str_replace(&a->reason, reason);
        free(a->report);
        a->report = NULL;
}

static int store(Attempt *a, const char *data, size_t size, Error *e) {
        _cleanup_(strv_freep) char **pairs = NULL;
        JsonOut o = {};
        int r = task_output_parse(data, size, &pairs, e);

        if (r < 0 || !pairs)
                return r;
        json_out_object(&o, NULL);
        for (char *const *p = pairs; p[0]; p += 2)
                json_out_text(&o, p[0], p[1]);
        json_out_end_object(&o);
        return json_out_take(&o, &a->output);
}

static int take_output(sd_bus_message *m, void *userdata) {
        Attempt *a = userdata;
        const void *data;
        Error e = {};
        size_t size;
        int r = sd_bus_message_read_array(m, 'y', &data, &size);

        if (r < 0 || size == 0)
                return r < 0 ? r : 0;
        r = store(a, data, size, &e);
        if (r < 0)
                fail(a, error_text(&e, r));
        return 0;
}

static void on_output(ExecVerdict verdict, const char *words, void *userdata) {
        Attempt *a = userdata;

        a->reading = NULL;
        if (verdict != EXEC_DONE)
                fail(a, words);
        a->told(a);
}

static int append_names(sd_bus_message *m, void *userdata) {
        const Attempt *a = userdata;
        char run[ID_HEX_SIZE];
        Id id = {};
        int r = id_parse(a->run, &id);

        return r < 0 ? r : sd_bus_message_append(m, "ss", a->id, id_to_hex(id, run));
}

void attempt_read_output(Attempt *a, attempt_told_t told) {
        int r;

        a->told = told;
        r = exec_call_new(a->table->exec,
                          &(ExecRequest){ .method = "Output",
                                          .append = append_names,
                                          .text = a->id,
                                          .take = take_output,
                                          .done = on_output,
                                          .userdata = a },
                          &a->reading);
        if (r >= 0)
                return;
        fail(a, strerror(-r));
        told(a);
}
