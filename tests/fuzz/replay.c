/* Runs a fuzzer over the files of its corpus, as TAP. FUZZ_NAME is the directory's name. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "fuzz.h"
#include "str.h"

#define FILE_MAX (4 * 1024 * 1024)

static int replay(const char *path) {
        _cleanup_(fclosep) FILE *f = fopen(path, "re");
        _cleanup_(freep) uint8_t *data = malloc(FILE_MAX);
        uint8_t *exact;
        size_t size;

        if (!f || !data)
                return -1;
        size = fread(data, 1, FILE_MAX, f);
        exact = malloc(size ? size : 1); /* so that a sanitizer sees a read behind the end */
        if (!exact)
                return -1;
        (void) memcpy(exact, data, size);
        (void) LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        return 0;
}

int main(void) {
        const char *top = getenv("top_srcdir");
        _cleanup_(freep) char *directory =
                str_format("%s/tests/fuzz/corpus/" FUZZ_NAME, top ? top : ".");
        struct dirent **entries = NULL;
        int n = scandir(directory, &entries, NULL, alphasort), failures = 0, count = 0;

        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *path = str_format("%s/%s", directory, entries[i]->d_name);

                if (entries[i]->d_name[0] != '.') {
                        int r = replay(path);

                        failures += r < 0;
                        printf("%s %d - " FUZZ_NAME "/%s\n", r < 0 ? "not ok" : "ok", ++count,
                               entries[i]->d_name);
                        (void) fflush(stdout);
                }
                free(entries[i]);
        }
        free(entries);
        printf("1..%d\n", count);
        return count == 0 || failures > 0;
}
