/* Tokenizers compared on the same text.
 *
 * A word is a run of two or more kanji, of katakana, or of Latin letters: what can be told without a dictionary.  (Runs
 * of hiragana are endings and particles in a row.)  It is whole if one token is this run and nothing else but blanks
 * around it.  Where a token begins and ends is told by decoding token by token; of lines that do not come back as they
 * were, words are not counted.
 *
 * Each line is encoded by itself, without its end, with one thread. */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"
#include "vocab/compare.h"

typedef struct measuring {
    const wb_tokenizer_t *t;
    bool clean;
    wb_ids_t ids;
    wb_buf_t text;
    int64_t *ends; /* [ids] where the text of a token ends */
    int64_t ends_cap;
    unsigned char *seen; /* [size] */
} measuring_t;

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* A script for words: as wb_script_of(), and letters; 0: none. */
static int word_script (uint32_t c) {
    const wb_script script = c == WB_UTF8_NONE ? WB_SCRIPT_NONE : wb_script_of (c);
    if (script == WB_SCRIPT_KANJI || script == WB_SCRIPT_KATAKANA) return (int) script;
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? 9 : 0;
}

/* Texts of all tokens one after the other, and where each ends; *same: they are the line. */
static wb_status find_ends (measuring_t *m, bool *same, const char *s, size_t n) {
    wb_stream_t *stream;
    *same = false;
    m->text.len = 0;
    if (!WB_GROW (m->ends, m->ends_cap, m->ids.len + 1)) return WB_NOMEM ("places of tokens");
    WB_TRY (wb_stream_new (&stream, m->t));
    wb_status status = WB_OK;
    for (int64_t i = 0; i < m->ids.len && status == WB_OK; i++) {
        status = wb_stream_put (stream, &m->text, m->ids.data[i], i + 1 == m->ids.len);
        m->ends[i] = (int64_t) m->text.len;
    }
    wb_stream_destroy (stream);
    *same = status == WB_OK && m->text.len == n && memcmp (m->text.data, s, n) == 0;
    return status;
}

/* Is s[from, to) one token, blanks around it apart?  *at: the first token that ends after `from`. */
static bool is_whole (const measuring_t *m, int64_t *at, int64_t from, int64_t to) {
    while (*at < m->ids.len && m->ends[*at] <= from) ++*at;
    if (*at == m->ids.len) return false;
    int64_t begin = *at > 0 ? m->ends[*at - 1] : 0, end = m->ends[*at];
    while (begin < from && m->text.data[begin] == ' ') begin++;
    while (end > to && m->text.data[end - 1] == ' ') end--;
    return begin == from && end == to;
}

static wb_status count_words (measuring_t *m, wb_measures_t *to, const char *s, size_t n) {
    bool same;
    WB_TRY (find_ends (m, &same, s, n));
    int64_t at = 0;
    for (size_t i = 0, next; same && i < n; i = next) {
        size_t length;
        const int script = word_script (wb_utf8_get (s + i, n - i, &length));
        next = i + length;
        int chars = 1;
        for (; script != 0 && next < n; next += length, chars++)
            if (word_script (wb_utf8_get (s + next, n - next, &length)) != script) break;
        if (script == 0 || chars < 2) continue;
        to->words++;
        to->whole += is_whole (m, &at, (int64_t) i, (int64_t) next);
    }
    return WB_OK;
}

/* ---- measures ---------------------------------------------------------------------------------------------------- */

static int64_t count_chars (const char *s, size_t n) {
    int64_t chars = 0;
    for (size_t i = 0; i < n; i++) chars += ((unsigned char) s[i] & 0xc0) != 0x80;
    return chars;
}

/* A line without its end: what a piece of a text is here. */
static wb_status measure_line (measuring_t *m, wb_measures_t *to, const char *s, size_t n) {
    m->ids.len = 0;
    const double start = wb_now ();
    WB_TRY (wb_tokenizer_encode (m->t, &m->ids, s, n, m->clean));
    to->seconds += wb_now () - start;
    to->bytes += (int64_t) n;
    to->chars += count_chars (s, n);
    to->tokens += m->ids.len;
    for (int64_t i = 0; i < m->ids.len; i++) {
        const int32_t id = m->ids.data[i];
        to->byte_tokens += m->t->kind->piece (m->t, id).len < 0;
        m->seen[id] = 1;
    }
    return count_words (m, to, s, n);
}

static void add (wb_measures_t *to, const wb_measures_t *m) {
    to->bytes += m->bytes, to->chars += m->chars, to->tokens += m->tokens, to->byte_tokens += m->byte_tokens;
    to->words += m->words, to->whole += m->whole, to->seconds += m->seconds;
}

static int64_t count_seen (const unsigned char *seen, int32_t size) {
    int64_t n = 0;
    for (int32_t i = 0; i < size; i++) n += seen[i];
    return n;
}

static wb_status measure_genre (measuring_t *m, wb_measures_t *to, const wb_sample_t *s, int genre) {
    for (int64_t i = 0; i < s->len; i++) {
        const wb_sample_text_t *text = &s->texts[i];
        for (size_t at = 0, n; text->genre == genre && at < text->bytes; at += n + 1) {
            const char *end = memchr (text->text + at, '\n', text->bytes - at);
            n = end != NULL ? (size_t) (end - text->text) - at : text->bytes - at;
            if (n > 0) WB_TRY (measure_line (m, to, text->text + at, n));
        }
    }
    to->used = count_seen (m->seen, wb_tokenizer_size (m->t));
    return WB_OK;
}

static wb_status measure (wb_measured_t *out, const wb_sample_t *s, const wb_tokenizer_t *t, bool clean) {
    measuring_t m = {.t = t, .clean = clean};
    const size_t size = (size_t) wb_tokenizer_size (t);
    unsigned char *seen = wb_calloc (size, 1);
    m.seen = wb_malloc (size);
    wb_status status = seen != NULL && m.seen != NULL ? WB_OK : WB_NOMEM ("counts of %zu ids", size);
    for (int g = 0; g < s->genres && status == WB_OK; g++) {
        memset (m.seen, 0, size);
        status = measure_genre (&m, &out->genre[g], s, g);
        add (&out->all, &out->genre[g]);
        for (size_t i = 0; i < size; i++) seen[i] |= m.seen[i];
    }
    out->kind = wb_tokenizer_kind (t);
    out->size = (int32_t) size;
    if (status == WB_OK) out->all.used = count_seen (seen, out->size);
    wb_ids_fini (&m.ids);
    wb_buf_fini (&m.text);
    wb_free (m.ends);
    wb_free (m.seen);
    wb_free (seen);
    return status;
}

static wb_status measure_all (wb_comparison_t *c, const wb_vocab_comparison_t *asked) {
    for (int i = 0; i < c->ntokenizers; i++) {
        wb_tokenizer_t *t;
        c->tokenizers[i].spec = asked->tokenizers[i];
        WB_TRY (wb_tokenizer_new (&t, asked->tokenizers[i]));
        const wb_status status = measure (&c->tokenizers[i], c->sample, t, asked->clean);
        wb_tokenizer_destroy (t);
        WB_TRY (status);
    }
    return WB_OK;
}

wb_status wb_vocab_compare (const wb_vocab_comparison_t *asked) {
    wb_sample_t sample = {0};
    wb_comparison_t c = {.sample = &sample, .ntokenizers = asked->ntokenizers};
    c.tokenizers = wb_calloc ((size_t) asked->ntokenizers, sizeof *c.tokenizers);
    if (c.tokenizers == NULL) return WB_NOMEM ("%d tokenizers", asked->ntokenizers);
    wb_status status = wb_vocab_sample (&sample, &asked->in, 4);
    if (status == WB_OK) status = measure_all (&c, asked);
    if (status == WB_OK && asked->page != NULL) status = wb_comparison_page (&c, asked->page);
    if (status == WB_OK && asked->json) status = wb_comparison_json (&c);
    if (status == WB_OK && !asked->json) wb_comparison_print (&c);
    wb_sample_fini (&sample);
    wb_free (c.tokenizers);
    return status;
}
