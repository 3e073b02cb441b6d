/* What an encoding tells: what it converted, what was wrong, and what it wrote.
 *
 * Not done here: noting it (encode.c, units.c). */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "corpus/content.h"
#include "dataset/encode_job.h"

typedef wb_encode_counts_t counts_t;
typedef wb_encode_job_t job_t;

/* ---- what went wrong --------------------------------------------------------------------------------------------- */

/* Does the tokenizer take the word <|endoftext|> in a text for the end of a document?  byte does not. */
static bool knows_word (const wb_tokenizer_t *t) {
    static const char word[] = "<|endoftext|>";
    wb_ids_t ids = {0};
    const wb_status status = wb_tokenizer_encode (t, &ids, word, sizeof word - 1, false);
    const bool knows = status == WB_OK && ids.len == 1 && ids.data[0] == wb_tokenizer_eot (t);
    if (status != WB_OK) wb_error_clear ();
    wb_ids_fini (&ids);
    return knows;
}

/* More than a tenth that is in another encoding, of the documents or of their text, would be lost. */
static wb_status judge_garbled (const job_t *j, int64_t documents) {
    const counts_t *c = &j->count;
    const int64_t bytes = c->bytes[0] + c->bytes[1];
    char share[128], part[32], all[32];
    if (j->e->keep_garbled || (c->garbled <= documents / 10 && c->garbled_bytes <= bytes / 10)) return WB_OK;
    if (c->garbled > documents / 10)
        snprintf (share, sizeof share, "%lld of %lld documents", (long long) c->garbled, (long long) documents);
    else
        snprintf (share, sizeof share, "%lld of %lld documents, with %s of %s of text,", (long long) c->garbled,
                  (long long) documents, wb_format_bytes (part, (double) c->garbled_bytes),
                  wb_format_bytes (all, (double) bytes));
    if (j->encoder.from != NULL)
        return WB_FAIL (WB_EDATA,
                        "%s are not %s, as --from says; nothing was written (without --from it is found out what they "
                        "are; --keep-garbled takes them as they are)",
                        share, j->encoder.from);
    return WB_FAIL (WB_EDATA,
                    "%s are not UTF-8 and could not be converted; nothing was written (--from NAME converts them, "
                    "--keep-garbled takes them as they are)",
                    share);
}

wb_status wb_encode_judge (const job_t *j) {
    const counts_t *c = &j->count;
    const int64_t documents = c->documents[0] + c->documents[1];
    for (int i = 0; i < WB_CHARSETS; i++)
        if (c->converted[i] > 0)
            wb_info ("%lld file%s converted from %s", (long long) c->converted[i], wb_plural (c->converted[i]),
                     i == WB_CHARSET_NAMED ? j->encoder.from : wb_charset_name ((wb_charset) i));
    wb_notes_print (&j->garbled, "files in another encoding");
    wb_notes_print (&j->bad, "lines that cannot be read");
    if (documents > 0) wb_notes_print (&j->left, "things that were left out");
    wb_markup_warn (c->markup, "document");
    wb_content_markup_warn (c->line_markup, (const char *[WB_FORMS]){NULL},
                            "lines of JSON: ", "wabun corpus build with");
    if (c->words > 0 && !knows_word (j->encoder.tokenizer))
        wb_warn ("<|endoftext|> stands %lld time%s within a line or a text of JSON, where it is text like any other: "
                 "between documents put it on a line of its own",
                 (long long) c->words, wb_plural (c->words));
    if (j->bad.n > 0)
        wb_warn ("%lld of %lld lines left out, which cannot be read", (long long) j->bad.n, (long long) c->lines);
    if (j->bad.n > 100 && j->bad.n > c->lines / 100 && j->e->bad_lines == WB_BAD_LINES_FEW)
        return WB_FAIL (
            WB_EDATA,
            "%lld of %lld lines cannot be read, the first is %s; nothing was written (--bad-lines skip takes "
            "the others)",
            (long long) j->bad.n, (long long) c->lines, j->bad.text[0]);
    if (documents == 0)
        return WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, but no document has any text%s%s",
                        j->e->inputs[0], j->e->ninputs > 1 ? " and the other inputs" : "",
                        (long long) j->encoder.inputs->len, wb_plural (j->encoder.inputs->len),
                        j->left.n > 0 ? "; left out: " : "", j->left.n > 0 ? j->left.text[0] : "");
    return judge_garbled (j, documents);
}

/* ---- what was written ------------------------------------------------------------------------------------------- */

void wb_encode_tell (const job_t *j, int side, const char *name) {
    const counts_t *c = &j->count;
    const int64_t n = c->documents[side], bytes = c->bytes[side];
    const double seconds = wb_now () - j->started;
    char documents[32], tokens[32], text[32], skipped[32], note[80] = "", time[32];
    if (c->skipped > 0 && side == 0)
        snprintf (note, sizeof note, "; %s without text left out", wb_format_count (skipped, c->skipped));
    wb_info ("%s: %s document%s, %s tokens, %s bytes, %.3f bytes per token, %s, %.1f MB/s%s", name,
             wb_format_count (documents, n), wb_plural (n), wb_format_count (tokens, c->tokens[side]),
             wb_format_count (text, bytes), (double) bytes / (double) c->tokens[side],
             wb_format_seconds (time, seconds), (double) bytes / seconds / 1e6, note);
}

void wb_encode_warn_share (const job_t *j) {
    const counts_t *c = &j->count;
    const double asked = j->e->validation, got = (double) c->bytes[1] / (double) (c->bytes[0] + c->bytes[1]);
    const long long n = (long long) c->documents[1], documents = (long long) c->documents[0] + n;
    if (asked == 0 || (got <= 2 * asked && got >= asked / 2)) return;
    if (j->encoder.cut)
        wb_warn (
            "validation has %.3g %% of the text, not %.3g %%: texts are cut at line ends, and these have long lines",
            100 * got, 100 * asked);
    else
        wb_warn ("validation has %.3g %% of the text, not %.3g %%: it is %lld of %lld documents, chosen by their hash; "
                 "more documents, or long ones divided by lines of <|endoftext|>, come nearer to it",
                 100 * got, 100 * asked, n, documents);
}

void wb_encode_warn_stale (const char *prefix) {
    char *idx = wb_format ("%s-valid.idx", prefix);
    if (idx != NULL && wb_file_exists (idx))
        wb_warn ("%s-valid is from an earlier encoding and stays as it is: if its text is among these inputs, training "
                 "reads what it is validated on; give --validation, or remove %s-valid.bin and .idx",
                 prefix, prefix);
    wb_free (idx);
}
