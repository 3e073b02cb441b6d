/* ja-bpe as a tokenizer.json that gives its ids.
 *
 *   normalizer     blanks, line ends and dashes; the emoji; with `clean` what hf_clean.c adds; then every byte as a
 * letter (ByteLevel), and <|byteN|> that text spells out as the letter of its byte between two marks pre-tokenizer  a
 * Split at the marks, which go, and one by a regular expression, the tree of all words, which takes the longest word at
 * each place model          WordPiece with nothing before continued pieces: a word is one token, what is none becomes
 * its bytes decoder        the same backwards
 *
 * The original replaces thousands of emoji one after the other, in the order of the file.  Here a few dozen regular
 * expressions do it: a key that holds an earlier one can never match; keys with the same tag go into one expression
 * (emoji_levels) where leftmost, then first, gives what one after the other gives.
 *
 * WordPiece alone would be right as well, but looks for the longest word from the end of the whole line.
 *
 * Not done here: a word of several characters that ends in < and takes it from a <|byteN|> that follows it. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "convert/ja_bpe_files.h"

/* ---- emoji ----------------------------------------------------------------------------------------------------- */

/* Does the end of a match the beginning of b, but for a whole one? */
static bool end_meets (const wb_span_t *a, const wb_span_t *b) {
    for (size_t n = 1; n < a->n && n < b->n; n++)
        if (memcmp (a->s + a->n - n, b->s, n) == 0) return true;
    return false;
}

static bool holds (const wb_span_t *a, const wb_span_t *b) {
    return a->n >= b->n && memmem (a->s, a->n, b->s, b->n) != NULL;
}

/* How l has to do with e, which comes before it in the file: 0 not at all; 1: in one expression e wins wherever both
 * could be taken, as it must; 2: in one expression l could take what is e's. */
static int meets (const wb_emoji_key_t *e, const wb_emoji_key_t *l) {
    if (end_meets (&l->key, &e->key)) return 2;
    return end_meets (&e->key, &l->key) || holds (&e->key, &l->key) ? 1 : 0;
}

/* Level of each key: expressions of lower levels come first. */
static int emoji_levels (wb_emoji_key_t *keys, int n) {
    int levels = 0;
    for (int l = 0; l < n; l++) {
        for (int e = 0; e < l; e++) {
            const int how = keys[e].level + 1 < keys[l].level ? 0 : meets (&keys[e], &keys[l]);
            const int least = keys[e].level + (how == 2 || !wb_span_equal (&keys[e].tag, &keys[l].tag));
            if (how > 0 && least > keys[l].level) keys[l].level = least;
        }
        if (keys[l].level >= levels) levels = keys[l].level + 1;
    }
    return levels;
}

/* ---- regular expressions ----------------------------------------------------------------------------------------- */

static wb_status put_text (wb_buf_t *b, const char *text) { return wb_buf_put (b, text, strlen (text)); }

static wb_status put_escaped (wb_buf_t *b, const char *s, size_t n, const char *special) {
    for (size_t i = 0; i < n; i++) {
        if (s[i] != 0 && strchr (special, s[i]) != NULL) WB_TRY (wb_buf_put (b, "\\", 1));
        WB_TRY (wb_buf_put (b, s + i, 1));
    }
    return WB_OK;
}

/* The letters of words that go on alike: what follows them, and they. */
typedef struct branch {
    wb_buf_t rest, letters;
    int n;
} branch_t;

static wb_status put_tree (wb_buf_t *out, const wb_span_t *words, int n, size_t depth);

static wb_status add_branch (branch_t *all, int *nall, const wb_span_t *words, int n, size_t depth) {
    branch_t *b = &all[*nall];
    char name[4];
    WB_TRY (put_tree (&b->rest, words, n, depth + 1));
    for (int i = 0; i < *nall; i++)
        if (all[i].rest.len == b->rest.len &&
            (b->rest.len == 0 || memcmp (all[i].rest.data, b->rest.data, b->rest.len) == 0)) {
            wb_buf_fini (&b->rest);
            b = &all[i];
        }
    if (b == &all[*nall]) ++*nall;
    b->n++;
    wb_byte_letter (name, (unsigned char) words[0].s[depth]);
    return put_escaped (&b->letters, name, strlen (name), "^$\\.*+?()[]{}|/-&");
}

static wb_status put_branches (wb_buf_t *out, const branch_t *all, int n, bool optional) {
    const bool group = optional || n > 1;
    if (n > 0 && group) WB_TRY (put_text (out, "(?:"));
    for (int i = 0; i < n; i++) {
        if (i > 0) WB_TRY (put_text (out, "|"));
        if (all[i].n > 1) WB_TRY (put_text (out, "["));
        WB_TRY (wb_buf_put (out, all[i].letters.data, all[i].letters.len));
        if (all[i].n > 1) WB_TRY (put_text (out, "]"));
        if (all[i].rest.len > 0) WB_TRY (wb_buf_put (out, all[i].rest.data, all[i].rest.len));
    }
    if (n > 0 && group) WB_TRY (put_text (out, optional ? ")?" : ")"));
    return WB_OK;
}

/* What matches the longest of these words, sorted and alike in their first `depth` bytes, from there on. */
static wb_status put_tree (wb_buf_t *out, const wb_span_t *words, int n, size_t depth) {
    const bool ends = words[0].n == depth;
    int first = ends ? 1 : 0, branches = 0, nall = 0;
    for (int i = first; i < n; i++) branches += i == first || words[i].s[depth] != words[i - 1].s[depth];
    branch_t *all = wb_calloc ((size_t) branches + 1, sizeof *all);
    wb_status status = all != NULL ? WB_OK : WB_NOMEM ("a regular expression");
    for (int i = first; i < n && status == WB_OK;) {
        int end = i + 1;
        while (end < n && words[end].s[depth] == words[i].s[depth]) end++;
        status = add_branch (all, &nall, words + i, end - i, depth);
        i = end;
    }
    if (status == WB_OK) status = put_branches (out, all, nall, ends);
    for (int i = 0; all != NULL && i <= branches; i++) {
        wb_buf_fini (&all[i].rest);
        wb_buf_fini (&all[i].letters);
    }
    wb_free (all);
    return status;
}

/* ---- parts of tokenizer.json ------------------------------------------------------------------------------------- */

bool wb_hf_add_replace (json_t *list, const char *kind, const wb_span_t *pattern, const char *content, size_t n) {
    json_t *step = json_pack ("{s:s, s:{s:s%}, s:s%}", "type", "Replace", "pattern", kind, pattern->s, pattern->n,
                              "content", content, n);
    return step != NULL && json_array_append_new (list, step) == 0;
}

#define MARK "\xee\x80\x80" /* U+E000, which is the letter of no byte */

/* Tokens of bytes whose name in the vocabulary is a letter, where text spells them out. */
static wb_status add_spelled_bytes (json_t *list, const wb_ja_bpe_files_t *f) {
    for (int id = 0; id < f->nwords; id++) {
        char letter[4], content[2 * sizeof MARK + sizeof letter];
        const int byte = wb_ja_bpe_byte (f, id);
        if (byte < 0 || f->one[byte]) continue;
        wb_byte_letter (letter, byte);
        const int n = snprintf (content, sizeof content, MARK "%s" MARK, letter);
        if (!wb_hf_add_replace (list, "String", &f->words[id], content, (size_t) n)) return WB_NOMEM ("tokenizer.json");
    }
    return WB_OK;
}

static bool add_fixed (json_t *list, const char *kind, const char *pattern, const char *content) {
    const wb_span_t p = {pattern, strlen (pattern)};
    return wb_hf_add_replace (list, kind, &p, content, strlen (content));
}

/* The keys of one level and one tag, from `first` on, as one expression; *done marks them. */
static wb_status add_emoji (json_t *list, wb_emoji_key_t *keys, int n, int first) {
    wb_buf_t expression = {0};
    const wb_span_t *tag = &keys[first].tag;
    const int level = keys[first].level;
    wb_status status = WB_OK;
    for (int i = first; i < n && status == WB_OK; i++) {
        if (keys[i].level != level || !wb_span_equal (&keys[i].tag, tag)) continue;
        if (expression.len > 0) status = put_text (&expression, "|");
        if (status == WB_OK) status = put_escaped (&expression, keys[i].key.s, keys[i].key.n, "^$\\.*+?()[]{}|/");
        keys[i].done = true;
    }
    const wb_span_t pattern = {expression.data, expression.len};
    if (status == WB_OK && !wb_hf_add_replace (list, "Regex", &pattern, tag->s, tag->n))
        status = WB_NOMEM ("tokenizer.json");
    wb_buf_fini (&expression);
    return status;
}

static wb_status add_normalizers (json_t *list, wb_ja_bpe_files_t *f, bool clean) {
    bool good = add_fixed (list, "Regex", "[ \xe3\x80\x80]", "<SP>") &&
                add_fixed (list, "Regex", "\r\n|\n|\r", "<BR>") && add_fixed (list, "String", "\t", "<TAB>") &&
                add_fixed (list, "Regex", "[\xe2\x80\x94\xe2\x88\x92]", "\xe3\x83\xbc");
    if (!good) return WB_NOMEM ("tokenizer.json");
    const int levels = emoji_levels (f->keys, f->nkeys);
    for (int level = 0; level < levels; level++)
        for (int i = 0; i < f->nkeys; i++)
            if (f->keys[i].level == level && !f->keys[i].done) WB_TRY (add_emoji (list, f->keys, f->nkeys, i));
    if (clean) WB_TRY (wb_hf_add_clean (list));
    if (json_array_append_new (list, json_pack ("{s:s}", "type", "ByteLevel")) != 0) return WB_NOMEM ("tokenizer.json");
    return add_spelled_bytes (list, f);
}

/* A text in byte letters; the caller frees it. */
static wb_status letters_of (wb_buf_t *out, const wb_span_t *text) {
    char name[4];
    wb_buf_clear (out);
    for (size_t i = 0; i < text->n; i++) {
        wb_byte_letter (name, (unsigned char) text->s[i]);
        WB_TRY (put_text (out, name));
    }
    return WB_OK;
}

/* The name of a token in the vocabulary; those of bytes are their letters, unless a word of one byte has that name. */
static wb_status token_name (wb_buf_t *out, const wb_ja_bpe_files_t *f, int id) {
    const int byte = wb_ja_bpe_byte (f, id);
    if (byte < 0 || f->one[byte]) return letters_of (out, &f->words[id]);
    const char raw = (char) byte;
    return letters_of (out, &(wb_span_t){&raw, 1});
}

static wb_status add_vocabulary (json_t *vocab, const wb_ja_bpe_files_t *f) {
    wb_buf_t name = {0};
    wb_status status = WB_OK;
    for (int id = 0; id < f->nwords && status == WB_OK; id++) {
        status = token_name (&name, f, id);
        if (status == WB_OK && json_object_set_new (vocab, name.data != NULL ? name.data : "", json_integer (id)) != 0)
            status = WB_NOMEM ("tokenizer.json");
    }
    wb_buf_fini (&name);
    return status;
}

static wb_status add_decoders (json_t *list, const wb_ja_bpe_files_t *f) {
    wb_buf_t text = {0};
    wb_status status = WB_OK;
    for (int id = 0; id < f->nwords && status == WB_OK; id++) {
        const int byte = wb_ja_bpe_byte (f, id);
        const char raw = (char) byte;
        wb_span_t face = wb_ja_bpe_face (f, id);
        if (byte >= 0 && f->one[byte]) face = (wb_span_t){&raw, 1};
        if (face.s == NULL) continue;
        status = letters_of (&text, &face);
        if (status == WB_OK && !wb_hf_add_replace (list, "String", &f->words[id], text.data, text.len))
            status = WB_NOMEM ("tokenizer.json");
    }
    wb_buf_fini (&text);
    json_t *last = json_pack ("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
                              "use_regex", 0);
    return json_array_append_new (list, last) == 0 ? status : WB_NOMEM ("tokenizer.json");
}

static int by_bytes (const void *a, const void *b) {
    const wb_span_t *x = a, *y = b;
    const int c = memcmp (x->s, y->s, x->n < y->n ? x->n : y->n);
    return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

/* Words that text can become: not bytes, but for those named in the vocabulary, and not longer ones than two
 * characters, which the original never finds. */
static wb_status put_words (wb_buf_t *out, const wb_ja_bpe_files_t *f) {
    int n = 0;
    wb_span_t *words = wb_calloc ((size_t) f->nwords + 1, sizeof *words);
    if (words == NULL) return WB_NOMEM ("tokenizer.json");
    for (int id = 0; id < f->nwords; id++) {
        const int byte = wb_ja_bpe_byte (f, id);
        if ((byte < 0 || f->one[byte]) && wb_ja_bpe_found (f, id)) words[n++] = f->words[id];
    }
    qsort (words, (size_t) n, sizeof *words, by_bytes);
    const wb_status status = put_tree (out, words, n, 0);
    wb_free (words);
    return status;
}

wb_status wb_hf_ja_bpe (json_t **out, wb_ja_bpe_files_t *f, bool clean) {
    json_t *normalizers = json_array (), *decoders = json_array (), *vocab = json_object ();
    wb_buf_t tree = {0};
    *out = NULL;
    wb_status status = add_normalizers (normalizers, f, clean);
    if (status == WB_OK) status = add_decoders (decoders, f);
    if (status == WB_OK) status = add_vocabulary (vocab, f);
    if (status == WB_OK) status = put_words (&tree, f);
    if (status == WB_OK) {
        json_t *marks = json_pack ("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "String", MARK, "behavior",
                                   "Removed", "invert", 0);
        json_t *words = json_pack ("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", tree.data,
                                   "behavior", "Isolated", "invert", 0);
        *out = json_pack ("{s:s, s:n, s:n, s:[], s:{s:s, s:O}, s:{s:s, s:[o, o]}, s:n, s:{s:s, s:O}, "
                          "s:{s:s, s:s, s:s, s:i, s:O}}",
                          "version", "1.0", "truncation", "padding", "added_tokens", "normalizer", "type", "Sequence",
                          "normalizers", normalizers, "pre_tokenizer", "type", "Sequence", "pretokenizers", marks,
                          words, "post_processor", "decoder", "type", "Sequence", "decoders", decoders, "model", "type",
                          "WordPiece", "unk_token", WB_EOT, "continuing_subword_prefix", "", "max_input_chars_per_word",
                          1000000, "vocab", vocab);
        if (*out == NULL) status = WB_NOMEM ("tokenizer.json");
    }
    json_decref (normalizers);
    json_decref (decoders);
    json_decref (vocab);
    wb_buf_fini (&tree);
    return status;
}
