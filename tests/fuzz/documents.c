/* Forms: plain text, lines of JSON, Aozora Bunko, HTML, wikitext.  First byte: the options; the rest is the record. */
#include "config.h"

#include <string.h>

#include "documents.h"
#include "fuzz.h"

void fuzz_document (wb_extractor_t *x, wb_document_t *d, const wb_record_t *r) {
    wb_complaint_t c;
    bool got;
    FUZZ_MUST (wb_extract (x, d, &got, &c, r));
    FUZZ_CHECK (c.kind[0] == 0 || c.text[0] != 0, "a complaint \"%s\" without a reason", c.kind);
    if (!got) return;
    FUZZ_CHECK (d->text.len > 0, "a document without text");
    FUZZ_UTF8 (d->text.data, d->text.len);
    FUZZ_CHECK (memmem (d->text.data, d->text.len, "\r\n", 2) == NULL, "CRLF in a document");
}

static void run (wb_form form, const uint8_t *data, size_t n) {
    static const char *const charsets[] = {"",       "utf-8",     "Shift_JIS", "euc-jp", "iso-2022-jp",
                                           "utf-16", "x-no-such", ""};
    if (n == 0) return;
    const wb_extract_options_t o = {.keep_ruby = (data[0] & 8) != 0, .text_form = data[0] >> 4 & 3};
    wb_record_t r = {.form = form};
    wb_document_t d = {0};
    wb_extractor_t *x;
    FUZZ_MUST (wb_extractor_new (&x, &o));
    snprintf (r.charset, sizeof r.charset, "%s", charsets[data[0] & 7]);
    FUZZ_MUST (wb_buf_put (&r.name, "in", 2));
    FUZZ_MUST (wb_buf_put (&r.site, "in", 2));
    FUZZ_MUST (wb_buf_put (&r.bytes, data + 1, n - 1));
    for (int turn = 0; turn < 2; turn++) fuzz_document (x, &d, &r); /* what one document leaves must not matter */
    wb_record_fini (&r);
    wb_document_fini (&d);
    wb_extractor_destroy (x);
}

static void run_plain (const uint8_t *data, size_t n) { run (WB_FORM_TEXT, data, n); }
static void run_json (const uint8_t *data, size_t n) { run (WB_FORM_JSON, data, n); }
static void run_aozora (const uint8_t *data, size_t n) { run (WB_FORM_AOZORA, data, n); }
static void run_html (const uint8_t *data, size_t n) { run (WB_FORM_HTML, data, n); }
static void run_wiki (const uint8_t *data, size_t n) { run (WB_FORM_WIKI, data, n); }

const fuzz_harness_t fuzz_plain = {"plain", NULL, run_plain, NULL};
const fuzz_harness_t fuzz_json = {"json", NULL, run_json, NULL};
const fuzz_harness_t fuzz_aozora = {"aozora", NULL, run_aozora, NULL};
const fuzz_harness_t fuzz_html = {"html", NULL, run_html, NULL};
const fuzz_harness_t fuzz_wiki = {"wiki", NULL, run_wiki, NULL};
