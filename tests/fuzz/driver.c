/* Runs inputs through harnesses without libFuzzer.  `fuzz --harness=NAME FILE|DIRECTORY...` runs these; without
 * arguments, as a test, every harness runs its seeds and the inputs that once showed a fault, each in a process of its
 * own: tests/fuzz/seeds/NAME and tests/fuzz/regressions/NAME, and the seeds it makes. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static int64_t inputs;

static void run_path (const char *path);

static void run_dir (const char *path) {
    wb_names_t names;
    FUZZ_MUST (wb_dir_list (&names, path));
    for (int64_t i = 0; i < names.len; i++) {
        char *inner = wb_format ("%s/%s", path, names.data[i]);
        run_path (inner);
        wb_free (inner);
    }
    wb_names_fini (&names);
}

static void run_path (const char *path) {
    char *data;
    size_t n;
    if (wb_file_is_dir (path)) {
        run_dir (path);
        return;
    }
    FUZZ_MUST (wb_file_read (&data, &n, path));
    uint8_t *exact = malloc (n > 0 ? n : 1); /* a byte too many is seen by AddressSanitizer */
    FUZZ_CHECK (exact != NULL, "out of memory");
    memcpy (exact, data, n);
    wb_free (data);
    fuzz_input = path;
    LLVMFuzzerTestOneInput (exact, n);
    free (exact);
    inputs++;
}

/* One harness with all inputs there are; in a process of its own. */
static void run_all (const fuzz_harness_t *h) {
    fuzz_begin (h);
    FUZZ_MUST (wb_dir_make ("seeds"));
    fuzz_make_seeds ("seeds");
    run_dir ("seeds");
    static const char *const kept[] = {"seeds", "regressions"};
    for (int i = 0; i < 2; i++) {
        char name[256];
        snprintf (name, sizeof name, "tests/fuzz/%s/%s", kept[i], h->name);
        char *dir = wb_strdup (fuzz_source_path (name));
        if (wb_file_is_dir (dir)) run_dir (dir);
        wb_free (dir);
    }
    LLVMFuzzerTestOneInput ((const uint8_t *) "", 0);
    printf ("%-12s %lld inputs\n", h->name, (long long) inputs);
    fflush (stdout);
}

int main (int argc, char **argv) {
    int failed = 0;
    if (argc > 1) {
        LLVMFuzzerInitialize (&argc, &argv);
        for (int i = 1; i < argc; i++)
            if (strncmp (argv[i], "--", 2) != 0) run_path (argv[i]);
        return 0;
    }
    for (int i = 0; fuzz_harnesses[i] != NULL; i++) {
        int how = 0;
        fflush (stdout);
        const pid_t child = fork ();
        if (child == 0) {
            run_all (fuzz_harnesses[i]);
            exit (0);
        }
        if (child < 0 || waitpid (child, &how, 0) < 0 || how != 0) failed++;
        if (how != 0) printf ("%s: failed (%d)\n", fuzz_harnesses[i]->name, how);
    }
    return failed > 0;
}
