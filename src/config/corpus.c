/* The configuration of a corpus: room corpus's table, read and shared as that of a run is. */
#include "config.h"

#include <string.h>

#include "config/config_priv.h"
#include "wabun/corpus.h"

static const struct wb_table_room rooms[] = {{wb_corpus_options, 0}};
const wb_table_t wb_table_corpus = {"corpus", rooms, 1};

static wb_status check (const wb_corpus_options_t *o, const char *path) {
    if (o->dir == NULL)
        return WB_FAIL (WB_EUSAGE, "%s: `corpus` is missing: name a directory, as in corpus = \"corpus\";", path);
    if (o->sources.n == 0)
        return WB_FAIL (WB_EUSAGE,
                        "%s: `sources` is missing: sources = ( { path = \"texts\"; genre = \"general\"; } );", path);
    for (int i = 0; i < o->sources.n; i++)
        if (((const wb_corpus_source_t *) o->sources.list)[i].path == NULL)
            return WB_FAIL (WB_EUSAGE, "%s: source %d has no `path`", path, i + 1);
    return WB_OK;
}

/* text: instead of the file, as rank 0 has sent it. */
static wb_status read (wb_corpus_options_t *o, const char *text, const char *path, const char *const *sets, int nsets) {
    char *data = NULL;
    size_t bytes = text != NULL ? strlen (text) : 0;
    if (text == NULL && wb_file_is_dir (path))
        return WB_FAIL (WB_EIO, "%s: is a directory, not a configuration file", path);
    if (text == NULL) WB_TRY (wb_file_read (&data, &bytes, path));
    wb_status status = wb_table_fill (&wb_table_corpus, o, text != NULL ? text : data, bytes, path, sets, nsets);
    wb_free (data);
    return status == WB_OK ? check (o, path) : status;
}

wb_status wb_corpus_config_share (wb_corpus_config_t *out, wb_comm_t *world, const char *path, const char *const *sets,
                                  int nsets) {
    const bool root = wb_comm_rank (world) == 0;
    *out = (wb_corpus_config_t){.options = wb_calloc (1, sizeof *out->options)};
    WB_TRY (wb_agree (world, out->options != NULL ? WB_OK : WB_NOMEM ("the configuration")));
    wb_status status = root ? read (out->options, NULL, path, sets, nsets) : WB_OK;
    if (status == WB_OK && root) status = wb_table_text (&out->text, &wb_table_corpus, out->options);
    uint64_t bytes = out->text.len;
    WB_TRY (wb_agree (world, status));
    wb_comm_bcast (world, &bytes, sizeof bytes, 0);
    WB_TRY (wb_agree (world, root ? WB_OK : wb_buf_reserve (&out->text, bytes + 1)));
    wb_comm_bcast (world, out->text.data, bytes, 0);
    out->text.data[bytes] = 0;
    out->text.len = bytes;
    return wb_agree (world, root ? WB_OK : read (out->options, out->text.data, path, NULL, 0));
}

void wb_corpus_config_fini (wb_corpus_config_t *c) {
    if (c->options != NULL) wb_table_clear (&wb_table_corpus, c->options);
    wb_free (c->options);
    wb_buf_fini (&c->text);
}

void wb_corpus_config_help (FILE *to, bool man) { wb_table_help (to, &wb_table_corpus, man); }

wb_status wb_corpus_config_defaults (wb_corpus_options_t *o) { return wb_table_defaults (&wb_table_corpus, o); }
