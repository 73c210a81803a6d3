/* What the supervisor starts its children with. */
#include "cleanup.h"
#include "strv.h"
#include "supervisor.h"
#include "../lib/tap.h"

static void test_children_get_our_options(void) {
        static const struct {
                const char *argv[8], *argument, *wanted[8];
        } cases[] = {
                { { "controld" }, "0", { "/proc/self/exe", "mode", "0" } },
                { { "controld", "serve", "--workers=2" },
                  "1",
                  { "/proc/self/exe", "mode", "1", "--workers=2" } },
                { { "controld", "--config=/a", "serve" },
                  NULL,
                  { "/proc/self/exe", "mode", "--config=/a" } },
                { { "controld", "--config", "/a", "serve", "--listen=[::1]:1" },
                  NULL,
                  { "/proc/self/exe", "mode", "--config", "/a", "--listen=[::1]:1" } },
                { { "controld", "serve", "--config" },
                  NULL,
                  { "/proc/self/exe", "mode", "--config" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(strv_freep) char **v = supervisor_child_argv(
                        (char *const *) cases[i].argv, "mode", cases[i].argument);
                size_t n = strv_length((char *const *) cases[i].wanted);

                ok_int(strv_length(v), n);
                for (size_t k = 0; k < n && k < strv_length(v); k++)
                        ok_str(v[k], cases[i].wanted[k]);
        }
}

int main(void) {
        RUN(test_children_get_our_options);
        return tap_done();
}
