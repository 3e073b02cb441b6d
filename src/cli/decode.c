/* wabun decode: ids back to text, line by line for other programs, or the documents of a token file.
 *
 * Not done here: looking for documents by content, other formats of ids. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/comm.h"
#include "wabun/dataset.h"
#include "wabun/launch.h"

static wb_status out_failed (void) {
    WB_TRY (wb_flush (stdout, "standard output"));
    return WB_FAIL (WB_EIO, "standard output: cannot write");
}

static wb_status print_json (const wb_buf_t *text) {
    json_t *s = json_stringn (text->data != NULL ? text->data : "", text->len);
    json_t *line = s != NULL ? json_pack ("{s: o}", "text", s) : NULL;
    if (line == NULL) return WB_FAIL (WB_ENOMEM, "text of a line: out of memory");
    bool bad = json_dumpf (line, stdout, 0) != 0 || putchar ('\n') == EOF || fflush (stdout) != 0;
    json_decref (line);
    return bad ? out_failed () : WB_OK;
}

static wb_status ids_of_line (const json_t *line, int64_t number, wb_ids_t *ids, int32_t vocab) {
    const json_t *list = json_object_get (line, "ids");
    if (!json_is_array (list))
        return WB_FAIL (WB_EDATA, "standard input:%lld: no list \"ids\" in this line", (long long) number);
    wb_ids_clear (ids);
    for (size_t i = 0; i < json_array_size (list); i++) {
        const json_t *x = json_array_get (list, i);
        if (!json_is_integer (x))
            return WB_FAIL (WB_EDATA, "standard input:%lld: ids[%zu] is not a whole number", (long long) number, i);
        long long id = json_integer_value (x);
        if (id < 0 || id >= vocab)
            return WB_FAIL (WB_EDATA, "standard input:%lld: ids[%zu] is %lld, but the vocabulary has 0 .. %d",
                            (long long) number, i, id, (int) vocab - 1);
        WB_TRY (wb_ids_put (ids, (int32_t) id));
    }
    return WB_OK;
}

static wb_status decode_line (const wb_tokenizer_t *t, const char *s, size_t n, int64_t number, wb_ids_t *ids,
                              wb_buf_t *text) {
    json_error_t at;
    json_t *line = json_loadb (s, n, JSON_ALLOW_NUL, &at);
    if (line == NULL) return WB_FAIL (WB_EDATA, "standard input:%lld: not JSON: %s", (long long) number, at.text);
    wb_status status = ids_of_line (line, number, ids, wb_tokenizer_size (t));
    json_decref (line);
    WB_TRY (status);
    wb_buf_clear (text);
    WB_TRY (wb_tokenizer_decode (t, text, ids->data, ids->len));
    return print_json (text);
}

static wb_status decode_lines (const wb_tokenizer_t *t, wb_ids_t *ids, wb_buf_t *text) {
    char *line = NULL;
    size_t cap = 0;
    wb_status status = WB_OK;
    for (int64_t number = 1; status == WB_OK; number++) {
        ssize_t n = getline (&line, &cap, stdin);
        if (n < 0) break;
        while (n > 0 && isspace ((unsigned char) line[n - 1])) n--;
        if (n > 0) status = decode_line (t, line, (size_t) n, number, ids, text);
    }
    if (status == WB_OK && ferror (stdin))
        status = WB_FAIL (WB_EIO, "cannot read the standard input: %s", strerror (errno));
    wb_free_foreign (line);
    return status;
}

/* Documents one by one; as JSON without their <|endoftext|>, so that wabun encode gives them back. */
static wb_status decode_file (const wb_tokenizer_t *t, const char *prefix, bool jsonl, wb_ids_t *ids, wb_buf_t *text) {
    wb_tokens_t *f;
    WB_TRY (wb_tokens_open (&f, prefix));
    wb_status status = wb_tokens_check (f, wb_tokenizer_size (t), 0, 1);
    for (int64_t d = 0; d < wb_tokens_documents (f) && status == WB_OK; d++) {
        int64_t first, n;
        wb_tokens_document (f, &first, &n, d);
        wb_ids_clear (ids);
        wb_buf_clear (text);
        for (int32_t piece[1024]; n > 0 && status == WB_OK;) {
            int64_t k = n < 1024 ? n : 1024;
            wb_tokens_read (f, piece, first, k);
            for (int64_t i = 0; i < k && status == WB_OK; i++) status = wb_ids_put (ids, piece[i]);
            first += k;
            n -= k;
        }
        if (status == WB_OK && jsonl && ids->len > 0 && ids->data[ids->len - 1] == wb_tokenizer_eot (t)) ids->len--;
        if (status == WB_OK) status = wb_tokenizer_decode (t, text, ids->data, ids->len);
        if (status == WB_OK && jsonl)
            status = print_json (text);
        else if (status == WB_OK && (fwrite (text->data, 1, text->len, stdout) != text->len || putchar ('\n') == EOF))
            status = out_failed ();
    }
    wb_tokens_close (f);
    return status;
}

static wb_status run (int argc, char **argv) {
    const char *spec = NULL, *prefix = NULL;
    bool jsonl = false;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &spec));
        else if (wb_opts_is (&o, "--jsonl"))
            WB_TRY (wb_opts_flag (&o, &jsonl));
        else if (wb_opts_is_file (&o)) {
            if (prefix != NULL) return WB_FAIL (WB_EUSAGE, "`%s`: one token file at a time", o.arg);
            prefix = o.arg;
        } else
            return wb_opts_unknown (&o);
    }
    if (spec == NULL) return WB_FAIL (WB_EUSAGE, "--tokenizer is missing: byte or a vocabulary directory");
    if (prefix == NULL && !jsonl)
        return WB_FAIL (WB_EUSAGE, "--jsonl (reads the standard input) or a PREFIX is missing");
    wb_tokenizer_t *t;
    WB_TRY (wb_tokenizer_new (&t, spec));
    wb_ids_t ids = {0};
    wb_buf_t text = {0};
    wb_status status = prefix != NULL ? decode_file (t, prefix, jsonl, &ids, &text) : decode_lines (t, &ids, &text);
    wb_ids_fini (&ids);
    wb_buf_fini (&text);
    wb_tokenizer_destroy (t);
    return status;
}

const wb_cmd_t wb_cmd_decode = {
    .name = "decode",
    .usage = "--tokenizer T PREFIX | --jsonl",
    .line = "turn ids into text",
    .run = run,
    .text = "  --tokenizer T     as in wabun encode\n"
            "  PREFIX            the documents of a token file; with --jsonl as lines {\"text\": ...}\n"
            "  --jsonl           without PREFIX: stdin lines {\"ids\": [...]} become stdout lines {\"text\": ...}\n",
};
