/* Configurations, of a run and of a corpus: the file, a file part.cfg that it may include, and lines of KEY=VALUE for
 * --set.  What is accepted and written out is accepted again, and means the same. */
#include "config.h"

#include <string.h>

#include "config/config_priv.h"
#include "fuzz.h"
#include "wabun/corpus.h"

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

/* A run's configuration as text, or NULL: it was refused. */
static char *train (const char *const *sets, int nsets) {
    wb_config_t *c;
    if (!fuzz_ok (wb_config_new (&c, "run.cfg", sets, nsets))) return NULL;
    char *text = wb_config_text (c);
    wb_config_destroy (c);
    return text;
}

static char *corpus (const char *const *sets, int nsets) {
    wb_corpus_options_t o = {0};
    wb_buf_t text = {0};
    size_t n;
    char *file = fuzz_read (&n, "run.cfg");
    const bool good = fuzz_ok (wb_table_fill (&wb_table_corpus, &o, file, n, "run.cfg", sets, nsets));
    if (good) FUZZ_MUST (wb_table_text (&text, &wb_table_corpus, &o));
    wb_table_clear (&wb_table_corpus, &o);
    wb_free (file);
    return text.data;
}

static void run (const uint8_t *data, size_t n, char *(*read) (const char *const *sets, int nsets)) {
    fuzz_part_t part[3] = {0};
    const char *sets[SETS];
    if (memmem (data, n, "@include", 8) != NULL && memchr (data, '/', n) != NULL) return; /* our own files only */
    fuzz_split (part, 3, data, n);
    fuzz_write ("run.cfg", part[0].data, part[0].n);
    fuzz_write ("part.cfg", part[1].data, part[1].n);
    char *text = fuzz_text (part[2].data, part[2].n);
    char *written = read (sets, take_sets (sets, text));
    if (written != NULL) {
        fuzz_write ("run.cfg", written, strlen (written));
        char *twice = read (NULL, 0);
        FUZZ_CHECK (twice != NULL, "written, it is refused:\n%s", written);
        FUZZ_CHECK (strcmp (written, twice) == 0, "written and read it is another:\n%s\n----\n%s", written, twice);
        wb_free (twice);
    }
    wb_free (written);
    wb_free (text);
}

static void run_train (const uint8_t *data, size_t n) { run (data, n, train); }
static void run_corpus (const uint8_t *data, size_t n) { run (data, n, corpus); }

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

const fuzz_harness_t fuzz_config = {"config", NULL, run_train, seeds};
const fuzz_harness_t fuzz_corpus = {"corpus", NULL, run_corpus, NULL};
