/* The configuration of a run: the file, a file part.cfg that it may include, and lines of KEY=VALUE for --set.  What is
 * accepted and written out is accepted again, and means the same. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/config.h"

enum { SETS = 8 };

static int take_sets (const char **sets, char *text) {
    int n = 0;
    for (char *s = text, *end; n < SETS && *s != 0; s = end + 1) {
        end = strchr (s, '\n');
        sets[n++] = s;
        if (end == NULL) break;
        *end = 0;
    }
    return n;
}

static void run (const uint8_t *data, size_t n) {
    fuzz_part_t part[3] = {0};
    const char *sets[SETS];
    wb_config_t *c, *again;
    if (memmem (data, n, "@include", 8) != NULL && memchr (data, '/', n) != NULL) return; /* our own files only */
    fuzz_split (part, 3, data, n);
    fuzz_write ("run.cfg", part[0].data, part[0].n);
    fuzz_write ("part.cfg", part[1].data, part[1].n);
    char *text = fuzz_text (part[2].data, part[2].n);
    const int nsets = take_sets (sets, text);
    if (fuzz_ok (wb_config_new (&c, "run.cfg", sets, nsets))) {
        char *written = wb_config_text (c);
        fuzz_write ("run.cfg", written, strlen (written));
        FUZZ_MUST (wb_config_new (&again, "run.cfg", NULL, 0));
        char *twice = wb_config_text (again);
        FUZZ_CHECK (strcmp (written, twice) == 0, "written and read it is another:\n%s\n----\n%s", written, twice);
        wb_free (written);
        wb_free (twice);
        wb_config_destroy (c);
        wb_config_destroy (again);
    }
    wb_free (text);
}

static void seeds (void) {
    static const char sets[] = "train.steps=100\ntrain.lr=1e-3\ndata.train=({tokens=\"a\"; weight=2.0;}, \"b\")\n";
    size_t n;
    wb_buf_t b = {0};
    char *text = fuzz_read (&n, fuzz_source_path ("jobs/tiny.cfg"));
    fuzz_join (&b, text, n);
    fuzz_seed ("tiny", b.data, b.len);
    fuzz_join (&b, "seed = 3;\n", 10);
    fuzz_join (&b, sets, strlen (sets));
    fuzz_seed ("sets", b.data, b.len);
    wb_buf_fini (&b);
    wb_free (text);
}

const fuzz_harness_t fuzz_config = {"config", NULL, run, seeds};
