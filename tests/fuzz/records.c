/* Containers: archives, packed files, lines of JSON, ...  First byte: the file's name and the form; the rest is the
 * file.  Each record goes on to be a document. */
#include "config.h"

#include <string.h>

#include "documents.h"
#include "fuzz.h"

enum { MAX_BYTES = 1 << 16 };

static void complain (void *ctx, const wb_complaint_t *c) {
    int64_t *complaints = ctx;
    FUZZ_CHECK (c->kind[0] != 0 && c->name[0] != 0 && c->text[0] != 0, "a complaint without kind, name or reason");
    (*complaints)++;
}

static void run (const uint8_t *data, size_t n) {
    static const char *const names[] = {"in", "in.jsonl", "in.json", "in.html"};
    if (n == 0) return;
    const char *name = names[data[0] & 3];
    const wb_records_options_t o = {
        .max_bytes = MAX_BYTES, .max_text = 1 << 8, .max_expansion = 20, .form = (data[0] >> 2) % WB_FORMS};
    int64_t complaints = 0, next = 0;
    wb_records_t *rs;
    wb_record_t r = {0};
    wb_extractor_t *x;
    wb_document_t d = {0};
    fuzz_write (name, data + 1, n - 1);
    FUZZ_MUST (wb_extractor_new (&x, NULL));
    FUZZ_MUST (wb_records_open (&rs, name, &o, complain, &complaints));
    for (bool more = true; more;) {
        FUZZ_MUST (wb_records_next (rs, &r, &more));
        if (!more) break;
        FUZZ_CHECK (r.number >= next && r.bytes.len <= MAX_BYTES, "record %lld: %zu bytes", (long long) r.number,
                    r.bytes.len);
        next = r.number + 1;
        fuzz_document (x, &d, &r);
    }
    FUZZ_CHECK (wb_records_read (rs) >= 0 && wb_records_read (rs) <= (int64_t) n - 1, "bytes read");
    wb_records_close (rs);
    wb_record_fini (&r);
    wb_document_fini (&d);
    wb_extractor_destroy (x);
}

const fuzz_harness_t fuzz_records = {"records", NULL, run, fuzz_record_seeds};
