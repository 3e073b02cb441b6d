/* Line by line, for other programs: text to ids and ids to text; and the documents of a token file as text.
 *
 * Each answer is written and flushed before the next line is waited for, so that a co-process gets it.
 *
 * Not done here: more than one thread, looking for documents by content. */
#include "config.h"

#include <string.h>

#include "corpus/jsonl.h"
#include "wabun/dataset.h"

/* What the functions below keep between lines. */
typedef struct state {
    wb_tokenizer_t *tokenizer;
    bool clean;
    wb_ids_t ids;
    wb_buf_t text;
} state_t;

static wb_status encode_line (state_t *s, const json_t *line, bool *good, wb_jsonl_complaint_t *c) {
    size_t n;
    const char *text = wb_jsonl_text (line, "text", &n, c);
    *good = text != NULL;
    if (!*good) return WB_OK;
    wb_ids_clear (&s->ids);
    WB_TRY (wb_tokenizer_encode (s->tokenizer, &s->ids, text, n, s->clean));
    return wb_jsonl_print_ids (&s->ids, &s->text);
}

static wb_status decode_line (state_t *s, const json_t *line, bool *good, wb_jsonl_complaint_t *c) {
    WB_TRY (wb_jsonl_ids (line, &s->ids, good, wb_tokenizer_size (s->tokenizer), c));
    if (!*good) return WB_OK;
    wb_buf_clear (&s->text);
    WB_TRY (wb_tokenizer_decode (s->tokenizer, &s->text, s->ids.data, s->ids.len));
    return wb_jsonl_print_text (&s->text);
}

typedef wb_status line_function (state_t *s, const json_t *line, bool *good, wb_jsonl_complaint_t *c);

static wb_status each_line (state_t *s, wb_lines_t *l, line_function *f) {
    wb_jsonl_complaint_t complaint;
    for (;;) {
        const char *text;
        size_t n;
        WB_TRY (wb_lines_next (l, &text, &n, true));
        if (text == NULL) return WB_OK;
        if ((n = wb_jsonl_trim (text, n)) == 0) continue;
        json_t *line = wb_jsonl_parse (text, n, f == encode_line, &complaint);
        bool good = false;
        const wb_status status = line != NULL ? f (s, line, &good, &complaint) : WB_OK;
        json_decref (line);
        WB_TRY (status);
        if (!good) return WB_FAIL (WB_EDATA, "%s:%lld: %s", l->name, (long long) l->number, complaint.text);
    }
}

static void fini (state_t *s) {
    wb_ids_fini (&s->ids);
    wb_buf_fini (&s->text);
    wb_tokenizer_destroy (s->tokenizer);
}

static wb_status standard_input (const char *tokenizer, bool clean, line_function *f) {
    state_t s = {.clean = clean};
    wb_lines_t l;
    wb_status status = wb_tokenizer_new (&s.tokenizer, tokenizer);
    if (status == WB_OK) status = wb_lines_open (&l, "-");
    if (status == WB_OK) {
        status = each_line (&s, &l, f);
        wb_lines_close (&l);
    }
    fini (&s);
    return status;
}

wb_status wb_dataset_encode_lines (const char *tokenizer, bool clean) {
    return standard_input (tokenizer, clean, encode_line);
}

wb_status wb_dataset_decode_lines (const char *tokenizer) { return standard_input (tokenizer, false, decode_line); }

/* ---- documents of a token file ---------------------------------------------------------------------------------- */

static wb_status print_text (const wb_buf_t *text) {
    if (fwrite (text->data, 1, text->len, stdout) == text->len && putchar ('\n') != EOF) return WB_OK;
    return wb_flush (stdout, "standard output");
}

/* As JSON without its <|endoftext|>, so that wabun encode gives it back. */
static wb_status decode_document (state_t *s, const wb_tokens_t *f, int64_t document, bool jsonl) {
    int64_t first, n;
    WB_TRY (wb_tokens_document (f, &first, &n, document));
    wb_ids_clear (&s->ids);
    wb_buf_clear (&s->text);
    WB_TRY (wb_ids_reserve (&s->ids, n));
    WB_TRY (wb_tokens_read (f, s->ids.data, first, n));
    s->ids.len = n;
    if (jsonl && n > 0 && s->ids.data[n - 1] == wb_tokenizer_eot (s->tokenizer)) s->ids.len--;
    WB_TRY (wb_tokenizer_decode (s->tokenizer, &s->text, s->ids.data, s->ids.len));
    return jsonl ? wb_jsonl_print_text (&s->text) : print_text (&s->text);
}

wb_status wb_dataset_decode (const char *tokenizer, const char *prefix, bool jsonl) {
    state_t s = {.clean = false};
    wb_tokens_t *f = NULL;
    wb_status status = wb_tokenizer_new (&s.tokenizer, tokenizer);
    if (status == WB_OK) status = wb_tokens_open (&f, prefix);
    if (status == WB_OK) status = wb_tokens_check (f, wb_tokenizer_size (s.tokenizer), 0, 1);
    for (int64_t d = 0; status == WB_OK && d < wb_tokens_documents (f); d++) status = decode_document (&s, f, d, jsonl);
    if (status == WB_OK) status = wb_flush (stdout, "standard output");
    wb_tokens_close (f);
    fini (&s);
    return status;
}
