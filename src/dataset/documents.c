/* Documents of text files, one by one, with their genre: what is evaluated, not what is encoded.
 *
 * Not done here: ids (encode.c); walking directories as `wabun encode` does, with a table of what was left out. */
#include "config.h"

#include <string.h>

#include "wabun/corpus.h"
#include "wabun/dataset.h"

typedef struct reading {
    const char *input;
    wb_document_fn put;
    void *ctx;
    wb_extractor_t *x;
    wb_record_t record;
    wb_document_t document;
    int64_t left_out;
    wb_complaint_t first; /* of what was left out */
} reading_t;

static void complain (void *ctx, const wb_complaint_t *c) {
    reading_t *r = ctx;
    if (c->kind[0] == 0) return;
    if (r->left_out++ == 0) r->first = *c;
}

/* Genre: what a line of JSON says, else the name of the input without directories and suffixes. */
static wb_status hand_on (reading_t *r) {
    const wb_document_t *d = &r->document;
    const char *name = wb_file_name (r->input), *dot = name[0] != 0 ? strchr (name + 1, '.') : NULL;
    const bool said = d->genre.len > 0;
    wb_dataset_document_t out = {.text = d->text.data,
                                 .n = d->text.len,
                                 .genre = said ? d->genre.data : name,
                                 .genre_bytes = said          ? d->genre.len
                                                : dot != NULL ? (size_t) (dot - name)
                                                              : strlen (name),
                                 .name = d->id.len > 0 ? d->id.data : r->input};
    return r->put (r->ctx, &out);
}

static wb_status read_file (reading_t *r, const char *path) {
    wb_records_t *records;
    WB_TRY (wb_records_open (&records, path, &(wb_records_options_t){0}, complain, r));
    wb_status status;
    bool more;
    while ((status = wb_records_next (records, &r->record, &more)) == WB_OK && more) {
        bool got;
        wb_complaint_t why;
        status = wb_extract (r->x, &r->document, &got, &why, &r->record);
        if (status == WB_OK && !got) complain (r, &why);
        if (status == WB_OK && got) status = hand_on (r);
        if (status != WB_OK) break;
    }
    wb_records_close (records);
    return status;
}

static wb_status read_input (reading_t *r, const char *path, int depth) {
    if (!wb_file_is_dir (path)) return read_file (r, path);
    if (depth > 64) return WB_FAIL (WB_EIO, "%s: directories in directories, 64 deep", path);
    wb_names_t names = {0};
    wb_status status = wb_dir_list (&names, path);
    bool corpus = false; /* of what wabun corpus has made only the shards are text */
    for (int64_t i = 0; i < names.len; i++) corpus = corpus || strcmp (names.data[i], "manifest.json") == 0;
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        if (names.data[i][0] == '.' || (corpus && strstr (names.data[i], ".jsonl") == NULL)) continue;
        char *inner = wb_format ("%s/%s", path, names.data[i]);
        status = inner == NULL ? WB_NOMEM ("a path") : read_input (r, inner, depth + 1);
        wb_free (inner);
    }
    wb_names_fini (&names);
    return status;
}

wb_status wb_dataset_documents (char *const *paths, int n, wb_document_fn put, void *ctx) {
    reading_t r = {.put = put, .ctx = ctx};
    wb_status status = wb_extractor_new (&r.x, NULL);
    for (int i = 0; i < n && status == WB_OK; i++) {
        char *name = wb_strdup (paths[i]);
        for (size_t k = name != NULL ? strlen (name) : 0; k > 1 && name[k - 1] == '/'; k--) name[k - 1] = 0;
        r.input = name;
        status = name == NULL ? WB_NOMEM ("a path") : read_input (&r, name, 0);
        wb_free (name);
    }
    if (status == WB_OK && r.left_out > 0)
        wb_warn ("%lld part%s of the text left out, the first is %s: %s: %s", (long long) r.left_out,
                 wb_plural (r.left_out), r.first.name, r.first.kind, r.first.text);
    wb_extractor_destroy (r.x);
    wb_record_fini (&r.record);
    wb_document_fini (&r.document);
    return status;
}
